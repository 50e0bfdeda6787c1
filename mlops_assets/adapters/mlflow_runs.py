"""MLflow runs of candidates: one per training, found again by its key; writing one twice changes nothing."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops_assets.core.digests import canonical_json
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.evaluation import Comparison, EvalReport
from mlops_assets.core.records.training import CandidateModel

KEY = "mlops.key"
DIGEST_CHARACTERS = 36  # the longest dataset digest MLflow takes; the source holds all of it
PAGE = "report/evaluation.html"
DECISION = "report/decision.html"
CANDIDATE = "report/candidate.json"
NOT_IN_A_NAME = re.compile(r"[^\w./ -]")


class Runs:
    """The runs at one client; `artifacts` is the folder of their files, None to leave it to the server."""

    def __init__(self, client: Any, artifacts: Path | None) -> None:
        self._client = client
        self._artifacts = artifacts

    def find(self, candidate: CandidateModel) -> str | None:
        """Return the id of a candidate's run, if there is one."""
        return self._find(candidate.line, f"tags.`{KEY}` = '{run_key(candidate)}'")

    def training(
        self, candidate: CandidateModel, parameters: Mapping[str, str], datasets: Mapping[str, str], description: str
    ) -> None:
        """Write a finished run: parameters, inputs, curve, and the candidate's record as an artifact."""
        from mlflow.entities import Metric, Param

        run_id = self._ensure(candidate)
        start = self._client.get_run(run_id).info.start_time
        curve = [
            Metric(name, value, start + int(point.seconds * 1000), point.step)
            for point in candidate.curve
            for name, value in point.model_dump(exclude={"step", "seconds"}, exclude_none=True).items()
        ]
        totals = {"items": candidate.items, "steps": candidate.steps, "seconds": candidate.seconds}
        curve += [Metric(f"training/{name}", value, start, 0) for name, value in totals.items()]
        params = {"seed": candidate.seed, "device": candidate.device, "stopped": candidate.stopped, **parameters}
        for chunk in _chunks(curve, 1000):
            self._client.log_batch(run_id, metrics=chunk)
        for chunk in _chunks([Param(_name(name), str(value)) for name, value in params.items()], 100):
            self._client.log_batch(run_id, params=chunk)
        self._inputs(run_id, datasets or _inputs(candidate), "training")
        self._client.log_text(run_id, candidate.canonical_json(), CANDIDATE)
        if description:
            self._client.set_tag(run_id, "mlflow.note.content", description)
        self._client.set_terminated(run_id, "FINISHED")

    def evaluation(self, candidate: CandidateModel, report: EvalReport, page: str) -> None:
        """Write metrics, evaluated datasets and the HTML report on the candidate's run."""
        from mlflow.entities import Metric

        run_id = self._ensure(candidate)
        start = self._client.get_run(run_id).info.start_time
        values = {name: value for one in report.comparisons for name, value in _metrics(one).items()}
        for system, measured in report.systems.items():
            values[f"{system}/seconds_per_{measured.unit}"] = measured.seconds_per_unit
            values[f"{system}/size_bytes"] = measured.size_bytes
            values[f"{system}/load_seconds"] = measured.load_seconds
        metrics = [Metric(_name(name), value, start, 0) for name, value in values.items()]
        for chunk in _chunks(metrics, 1000):
            self._client.log_batch(run_id, metrics=chunk)
        self._inputs(run_id, {each.name: each.dataset for each in report.sets}, "evaluation")
        self._client.log_text(run_id, page, PAGE)
        self._client.set_tag(run_id, "mlops.scorer", report.scorer)
        self._client.set_terminated(run_id, "FINISHED")

    def decision(self, decision: Decision, page: str, tags: Mapping[str, str]) -> None:
        """Write the page of a decision and its tags on the candidate's run; the last one written counts."""
        key = f"{decision.line}/decision/{decision.decision_id}"
        run = self._made(decision.line, decision.batch_id, decision.evidence.candidate, key, decision.batch_id)
        self._client.log_text(run.info.run_id, page, DECISION)
        for name, value in tags.items():
            self._client.set_tag(run.info.run_id, name, value)

    def released(self, version: Version) -> Any:
        """Return the run that made a version; one is made for a version that was not trained here."""
        key = f"{version.line}/version/{version.version}"
        return self._made(version.line, version.batch_id, version.servable, key, f"version {version.version}")

    def _made(self, line: str, batch_id: str | None, servable: str, key: str, name: str) -> Any:
        """Return the run that made a servable; where there is none, one of this key and name is made."""
        from mlflow.entities import ViewType

        tags = {"mlops.line": line, "mlops.servable": servable}
        if batch_id is not None:
            tags["mlops.batch"] = batch_id
        where = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        experiment = self._experiment(line)
        found = self._client.search_runs([experiment], where, ViewType.ACTIVE_ONLY, 1, ["start_time DESC"])
        if found:
            return found[0]
        run = self._client.create_run(experiment, tags={**tags, KEY: key}, run_name=name)
        self._client.set_terminated(run.info.run_id, "FINISHED")
        return run

    def _find(self, line: str, where: str) -> str | None:
        from mlflow.entities import ViewType

        experiment = self._client.get_experiment_by_name(line)
        if experiment is None:
            return None
        found = self._client.search_runs([experiment.experiment_id], where, ViewType.ACTIVE_ONLY, 1)
        return found[0].info.run_id if found else None

    def _ensure(self, candidate: CandidateModel) -> str:
        found = self.find(candidate)
        if found is not None:
            return found
        tags = {
            KEY: run_key(candidate),
            "mlops.line": candidate.line,
            "mlops.batch": candidate.batch_id,
            "mlops.recipe": candidate.recipe,
            "mlops.model": candidate.model,
            "mlops.servable": candidate.servable,
            "mlops.parent_model": candidate.parent_model,
            "mlops.parent_version": str(candidate.parent_version or "base"),
            "mlops.code_version": candidate.code_version,
            **{f"mlops.record.{asset}": digest for asset, digest in candidate.parents.items()},
        }
        run = self._client.create_run(self._experiment(candidate.line), tags=tags, run_name=candidate.batch_id)
        return run.info.run_id

    def _experiment(self, line: str) -> str:
        found = self._client.get_experiment_by_name(line)
        if found is not None:
            return found.experiment_id
        location = None if self._artifacts is None else (self._artifacts / line).as_uri()
        return self._client.create_experiment(line, artifact_location=location)

    def _inputs(self, run_id: str, datasets: Mapping[str, str], context: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        known = {each.dataset.name for each in self._client.get_run(run_id).inputs.dataset_inputs}
        inputs = [
            DatasetInput(
                Dataset(name, digest[:DIGEST_CHARACTERS], "mlops", canonical_json({"sha256": digest})),
                [InputTag("mlflow.data.context", context)],
            )
            for name, digest in datasets.items()
            if name not in known
        ]
        if inputs:
            self._client.log_inputs(run_id, inputs)


def run_key(candidate: CandidateModel) -> str:
    """Name a training: the same line, batch and recipe are the same run."""
    return f"{candidate.line}/{candidate.batch_id}/{candidate.recipe}"


def _inputs(candidate: CandidateModel) -> dict[str, str]:
    """Name what a candidate was trained on, where the caller did not: the batches, by the digits of their ids."""
    batches = (candidate.batch_id, *candidate.replayed)
    return {batch_id: candidate.parents.get("validated_data", batch_id) for batch_id in batches[:1]} | {
        batch_id: batch_id.rpartition("-")[2] for batch_id in batches[1:]
    }


def _metrics(comparison: Comparison) -> dict[str, float]:
    place = [comparison.set_name] if comparison.slice is None else [comparison.set_name, comparison.slice]
    prefix = "/".join([*place, comparison.metric])
    names = ("candidate", "production", "baseline", "delta", "lower", "upper", "detectable")
    values = {f"{prefix}/{name}": getattr(comparison, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _name(name: str) -> str:
    return NOT_IN_A_NAME.sub("_", name)


def _chunks(values: list[Any], size: int) -> list[list[Any]]:
    return [values[first : first + size] for first in range(0, len(values), size)]
