"""Evidence: everything a decision may look at, gathered from records and ledger into one frozen record."""

from typing import cast

from mlops_assets.core.errors import NotFound, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import RawBatch, ValidatedData
from mlops_assets.core.records.decision import Evidence, ItemEffect
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.core.records.purchases import Purchase
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle.decide.recorded import judging_code
from mlops_assets.lifecycle.evaluation.evaluation_sets import sealed_set
from mlops_assets.lifecycle.evaluation.looks import look_number, opening_number


def gather(platform: Platform, line: Line, batch_id: str, report: EvalReport) -> Evidence:
    """Return the evidence on one evaluated candidate; NotFound if a step before the decision is missing.

    What the agent bought for the batch is counted; what it gave is added by the tools that sold it. Stale if the report
    is about another candidate than the batch's.
    """
    raw = cast(RawBatch, _made(platform, line, batch_id, "raw_batch"))
    data = cast(ValidatedData, _made(platform, line, batch_id, "validated_data"))
    candidate = cast(CandidateModel, _made(platform, line, batch_id, "candidate_model"))
    if report.parents.get("candidate_model") != candidate.digest:
        raise Stale(
            f"The candidate of batch {batch_id} of {line.line} was not evaluated: the report is about another one.",
            f"Run `mlops run {line.line} {batch_id}` to evaluate it.",
        )
    number = platform.versions.pointer(line.line).roles.get("production")
    production = None if number is None else platform.versions.get(line.line, number)
    sealed = sealed_set(platform, line)
    return Evidence(
        line=line.line,
        batch_id=batch_id,
        candidate=candidate.servable,
        production=None if production is None else production.servable,
        production_version=number,
        golden={each.name: each.dataset for each in report.sets if each.kind == "golden"},
        policy=line.policy.digest,
        contributor=raw.contributor,
        source=raw.source,
        kept=data.kept,
        dropped_share=sum(data.dropped.values()) / data.total if data.total else 1.0,
        quality_score=data.quality_score,
        report=report.digest,
        infra_ok=report.infra_ok,
        sets=report.sets,
        comparisons=report.comparisons,
        confusions=report.confusions,
        calibrations=report.calibrations,
        compression=report.compression,
        cross_checks=report.cross_checks,
        scan=report.scan,
        items=tuple(
            ItemEffect(set_name=each.set_name, item=each.item, change=each.change)
            for each in (*report.worst, *report.best)
        ),
        dropped=data.dropped,
        flagged=data.flagged,
        labels=data.labels,
        contributors=report.contributors,
        systems=report.systems,
        looks=look_number(platform, line.line, candidate.servable, report.sets),
        sealed=None if sealed is None else sealed.dataset,
        openings=0 if sealed is None else opening_number(platform, line.line, candidate.servable, sealed.dataset),
        attempt=candidate.attempt,
        seed=candidate.seed,
        purchases=purchases(platform, line.line, batch_id),
        parents={
            "raw_batch": raw.digest,
            "validated_data": data.digest,
            "candidate_model": candidate.digest,
            "eval_report": report.digest,
        },
        code_version=judging_code(platform, line),
    )


def purchases(platform: Platform, line: str, batch_id: str) -> tuple[Purchase, ...]:
    """Return what the agent bought for a batch, whichever judgement of it that was for."""
    entries = platform.ledger.entries(line, "bought", batch_id)
    return tuple(Purchase.model_validate({name: each.body[name] for name in Purchase.model_fields}) for each in entries)


def gathered(evidence: Evidence) -> str:
    """Return the digest of what was gathered, whatever was bought since and whichever code gathered it.

    Evidence that grew by purchases is known again by it: the same question is not asked twice.
    """
    bare = evidence.model_copy(
        update={
            "sets": tuple(each for each in evidence.sets if each.kind != "sealed"),
            "comparisons": tuple(each for each in evidence.comparisons if each.set_name not in _sealed(evidence)),
            "openings": 0,
            "noise": None,
            "slices": None,
            "purchases": (),
            "code_version": "",
        }
    )
    return bare.digest


def _sealed(evidence: Evidence) -> set[str]:
    return {each.name for each in evidence.sets if each.kind == "sealed"}


def _made(platform: Platform, line: Line, batch_id: str, asset: str) -> object:
    record = platform.records.get(line.line, batch_id, asset)
    if record is None:
        raise NotFound(
            f"Batch {batch_id} of {line.line} has no {asset} to decide on.", f"Run `mlops run {line.line} {batch_id}`."
        )
    return record
