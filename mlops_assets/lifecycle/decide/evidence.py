"""Evidence: everything a decision may look at, gathered from records and ledger into one frozen record."""

from typing import cast

from mlops_assets.core.errors import NotFound
from mlops_assets.core.line import Line
from mlops_assets.core.ports import Platform
from mlops_assets.core.records import CandidateModel, EvalReport, Evidence, RawBatch, ValidatedData
from mlops_assets.lifecycle.decide.replaying import judging_code
from mlops_assets.lifecycle.evaluation_sets import sealed_set
from mlops_assets.lifecycle.looks import look_number


def gather(platform: Platform, line: Line, batch_id: str, report: EvalReport) -> Evidence:
    """Return the evidence on one evaluated candidate; NotFound if a step before the decision is missing."""
    raw = cast(RawBatch, _made(platform, line, batch_id, "raw_batch"))
    data = cast(ValidatedData, _made(platform, line, batch_id, "validated_data"))
    candidate = cast(CandidateModel, _made(platform, line, batch_id, "candidate_model"))
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
        kept=data.kept,
        dropped_share=sum(data.dropped.values()) / data.total if data.total else 1.0,
        quality_score=data.quality_score,
        report=report.digest,
        infra_ok=report.infra_ok,
        sets=report.sets,
        comparisons=report.comparisons,
        confusions=report.confusions,
        compression=report.compression,
        systems=report.systems,
        looks=look_number(platform, line.line, candidate.servable, report.sets),
        sealed=None if sealed is None else sealed.dataset,
        code_version=judging_code(platform, line),
    )


def _made(platform: Platform, line: Line, batch_id: str, asset: str) -> object:
    record = platform.records.get(line.line, batch_id, asset)
    if record is None:
        raise NotFound(
            f"Batch {batch_id} of {line.line} has no {asset} to decide on.", f"Run `mlops run {line.line} {batch_id}`."
        )
    return record
