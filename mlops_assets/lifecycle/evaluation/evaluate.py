"""`evaluate`: candidate, production and baseline on the same sets, by the very bytes that would be served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, JsonValue

from mlops_assets.core.dataset import read_items
from mlops_assets.core.digests import sha256_json
from mlops_assets.core.errors import NotFound
from mlops_assets.core.family import Family, ItemScore
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.data import ValidatedData
from mlops_assets.core.records.evaluation import Comparison, EvalReport, SetResult, System
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle.evaluation import comparing, confusing
from mlops_assets.lifecycle.evaluation.comparing import ScoredSet
from mlops_assets.lifecycle.evaluation.evaluation_sets import EvaluationDataset, evaluation_sets
from mlops_assets.lifecycle.evaluation.examples import changed_inputs
from mlops_assets.lifecycle.evaluation.holdout import holdout
from mlops_assets.lifecycle.evaluation.looks import record_looks
from mlops_assets.lifecycle.evaluation.measuring import Measurement, costs, measured_systems
from mlops_assets.lifecycle.evaluation.predictions import Predicted, predict
from mlops_assets.lifecycle.evaluation.report import evaluation_page
from mlops_assets.lifecycle.evaluation.serving_check import serving_problem
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import ended, hold, production
from mlops_assets.lifecycle.intake.contributors import contributors
from mlops_assets.lifecycle.progress import progress_file


@dataclass(frozen=True)
class Contest:
    """Systems on the same sets: what the sets are, candidate against production on each, and every item's score."""

    sets: tuple[SetResult, ...]
    comparisons: tuple[Comparison, ...]
    scored: tuple[ScoredSet, ...]


def evaluate(platform: Platform, line: Line, batch_id: str) -> EvalReport:
    """Evaluate a trained candidate against what serves and record the report; equal inputs give the stored report.

    A candidate that does not load or answer, or that a gateway would not serve as it was scored, gives a report with
    `infra_ok` false; a production version that cannot be measured is left out of it. NotFound before training;
    ConfigError for a missing golden set.
    """
    with hold(platform, line, batch_id):
        candidate, data = _inputs(platform, line, batch_id)
        made = platform.records.get(line.line, batch_id, "eval_report")
        known = made if isinstance(made, EvalReport) else None
        if known is not None and ended(platform, line, batch_id):
            return known
        served = production(platform, line)
        family = platform.family(line.family)
        sets = [*evaluation_sets(platform, line), *holdout(platform, line, data)]
        parents = {"candidate_model": candidate.digest, "validated_data": data.digest} | (
            {"production": served.servable} if served else {}
        )
        if known is not None and _stands(known, parents, sets, family, line, served):
            return known
        measured = measured_systems(platform, line, candidate, served, {each.name: each.dataset for each in sets})
        report = _report(platform, line, family, candidate, sets, measured, parents)
        shown = contributors(platform, line, data, served, progress_file(platform, line.line, batch_id))
        report = report.model_copy(update={"contributors": shown})
        record_looks(platform, line.line, batch_id, candidate.servable, report.sets)
        page = evaluation_page(line, candidate, report, changed_inputs(platform, report))
        run_id = platform.tracker.evaluation(line, candidate, report, page)
        report = report.model_copy(
            update={"page": platform.store.put_bytes(page.encode()), "mlflow_run_id": run_id or candidate.mlflow_run_id}
        )
        failpoint("evaluate: before record")
        platform.records.put("eval_report", report)
        failpoint("evaluate: after record")
        return report


def contest(
    platform: Platform,
    line: Line,
    batch_id: str,
    servables: Mapping[System, str],
    sets: Sequence[EvaluationDataset],
) -> Contest:
    """Compare the named servables on any sets, the sealed one included; what is known of a servable is not asked again.

    Whoever calls it counts the look. TaskFailed if a servable does not load, or does not answer every item.
    """
    datasets = {each.name: each.dataset for each in sets}
    progress = progress_file(platform, line.line, batch_id)
    predicted: dict[System, Predicted] = {
        system: predict(platform, line, each, datasets, progress) for system, each in servables.items()
    }
    return _contest(platform, line, sets, predicted)


def _contest(
    platform: Platform, line: Line, sets: Sequence[EvaluationDataset], predicted: Mapping[System, Predicted]
) -> Contest:
    family = platform.family(line.family)
    config = family.Config.model_validate(line.config)
    metrics = family.metrics(config)
    single = comparing.item_metric(metrics, comparing.primary_metric(metrics, line))
    scored = tuple(_scored(platform, family, config, each, predicted) for each in sets)
    return Contest(
        sets=tuple(
            comparing.set_result(each, single, line, platform.store.put_bytes(comparing.scores_lines(each)))
            for each in scored
        ),
        comparisons=tuple(
            found
            for each in scored
            for found in comparing.comparisons(each, metrics, line.policy, line.gain_alpha(each.kind))
        ),
        scored=scored,
    )


def _inputs(platform: Platform, line: Line, batch_id: str) -> tuple[CandidateModel, ValidatedData]:
    candidate = platform.records.get(line.line, batch_id, "candidate_model")
    data = platform.records.get(line.line, batch_id, "validated_data")
    if not isinstance(candidate, CandidateModel) or not isinstance(data, ValidatedData):
        raise NotFound(
            f"Batch {batch_id} of {line.line} has no candidate to evaluate.", f"Run `mlops run {line.line} {batch_id}`."
        )
    return candidate, data


def _stands(
    known: EvalReport,
    parents: Mapping[str, str],
    sets: list[EvaluationDataset],
    family: Family,
    line: Line,
    served: Version | None,
) -> bool:
    """Say whether a report answers the same question; one that could not measure production does not."""
    return (
        known.parents == parents
        and [(each.name, each.kind, each.dataset) for each in known.sets]
        == [(each.name, each.kind, each.dataset) for each in sets]
        and known.rules == _rules(line, family)
        and (served is None or "production" in known.systems)
    )


def _rules(line: Line, family: Family) -> str:
    """Digest what decides the numbers of a report: the scorer and the parts of the policy that are about numbers."""
    numbers = {"primary", "business", "protected", "critical_margin", "alpha", "resamples", "seed"}
    gates = {"sample_degradation_threshold", "max_latency_ratio"}
    return sha256_json(
        [
            family.scorer,
            line.config,
            line.policy.model_dump(mode="json", include=numbers),
            line.policy.gates.model_dump(mode="json", include=gates),
            line.gain_alpha("golden"),
        ]
    )


def _report(
    platform: Platform,
    line: Line,
    family: Family,
    candidate: CandidateModel,
    sets: list[EvaluationDataset],
    measured: dict[System, Measurement],
    parents: dict[str, str],
) -> EvalReport:
    config = family.Config.model_validate(line.config)
    metrics, labels = family.metrics(config), family.labels(config)
    primary = comparing.primary_metric(metrics, line)
    single = comparing.item_metric(metrics, primary)
    answered: dict[System, Predicted] = {system: each.predicted for system, each in measured.items() if each.predicted}
    found = _contest(platform, line, sets, answered)
    golden = [each for each in found.scored if each.kind == "golden"]
    names = {each.name for each in golden}
    scanned = [each for each in found.comparisons if each.set_name in names]
    problem = serving_problem(platform, line, candidate, sets, measured["candidate"])
    moved = [comparing.changes(each, family, single) for each in found.scored]
    paid = costs(platform, line, family, candidate.batch_id, sets, measured)
    confusions = (confusing.confusion(each, family, labels, line.policy) for each in found.scored)
    compressed = (confusing.compression(each, family, primary, line.policy, paid) for each in found.scored)
    return EvalReport(
        line=line.line,
        batch_id=candidate.batch_id,
        parents=parents,
        systems=paid,
        sets=found.sets,
        comparisons=found.comparisons,
        confusions=tuple(each for each in confusions if each is not None),
        calibrations=tuple(shown for each in found.scored for shown in confusing.calibrations(each, family, labels)),
        compression=tuple(each for each in compressed if each is not None),
        cross_checks=tuple(check for each in golden for check in comparing.cross_checks(each, single, line.policy)),
        scan=tuple(comparing.scan(scanned, line.policy)),
        worst=tuple(change for worst, _ in moved for change in worst),
        best=tuple(change for _, best in moved for change in best),
        scorer=family.scorer,
        rules=_rules(line, family),
        infra_ok=not problem,
        infra_detail=problem,
        alpha=line.policy.alpha,
        resamples=line.policy.resamples,
        seed=line.policy.seed,
    )


def _scored(
    platform: Platform,
    family: Family,
    config: BaseModel,
    dataset: EvaluationDataset,
    predicted: Mapping[System, Predicted],
) -> ScoredSet:
    items = read_items(platform.store.folder(dataset.dataset))
    predictions: dict[System, list[JsonValue]] = {
        system: each.predictions[dataset.name] for system, each in predicted.items()
    }
    scores: dict[System, list[dict[str, ItemScore]]] = {
        system: family.score(items, each, config) for system, each in predictions.items()
    }
    return ScoredSet(
        name=dataset.name,
        kind=dataset.kind,
        dataset=dataset.dataset,
        origin=dataset.origin,
        items=items,
        predictions=predictions,
        scores=scores,
    )
