"""A real platform that holds one evaluated batch, with whatever numbers a test wants."""

from dataclasses import replace
from pathlib import Path

from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import RawBatch, ValidatedData
from mlops_assets.core.records.decision import Evidence
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle.evaluation.looks import record_looks
from mlops_assets_tests.lifecycle.decide.evidences import POLICY
from mlops_assets_tests.platform_fixture import make_platform

LINE = Line(line="speech", family="speech", golden=EvaluationSet(path="golden", origin="synthetic"), policy=POLICY)


def open_platform(home: Path) -> Platform:
    return replace(make_platform(home, lines=lambda: [LINE]), code_version=lambda _: "test")


def serve(platform: Platform, servable: str, decision: str = "first") -> None:
    version = platform.versions.add(
        LINE.line, servable=servable, model="f" * 64, batch_id=None, decision_id=decision, parent_version=None
    )
    platform.versions.move(LINE.line, platform.versions.pointer(LINE.line), {"production": version.version})


def put_evaluated(platform: Platform, wanted: Evidence) -> None:
    """Store the records from which `gather` makes the wanted evidence."""
    name = {"line": wanted.line, "batch_id": wanted.batch_id}
    digest = "0" * 64
    raw = RawBatch(
        **name,
        sha256=digest,
        artifact=digest,
        is_folder=False,
        filename="a.zip",
        size_bytes=1,
        source="cli",
        contributor=wanted.contributor,
        received_at="2026-01-01T00:00:00+00:00",
    )
    data = ValidatedData(
        **name,
        dataset=digest,
        findings=digest,
        total=wanted.kept,
        kept=wanted.kept,
        dropped={},
        flagged={},
        quality_score=wanted.quality_score,
        origin="synthetic",
        accepted=True,
    )
    candidate = CandidateModel(
        **name,
        parent_version=wanted.production_version,
        parent_model=digest,
        model=digest,
        servable=wanted.candidate,
        recipe=digest,
        seed=1,
        items=wanted.kept,
        steps=1,
        seconds=1,
        device="cpu",
        code_version="test",
    )
    report = EvalReport(
        **name,
        parents={"candidate_model": candidate.digest}
        | ({"production": wanted.production} if wanted.production else {}),
        systems=wanted.systems,
        sets=wanted.sets,
        comparisons=wanted.comparisons,
        scan=wanted.scan,
        contributors=wanted.contributors,
        scorer="test",
        infra_ok=wanted.infra_ok,
        alpha=0.05,
        resamples=1000,
        seed=1,
    )
    for asset, record in (
        ("raw_batch", raw),
        ("validated_data", data),
        ("candidate_model", candidate),
        ("eval_report", report),
    ):
        platform.records.put(asset, record)
    record_looks(platform, wanted.line, wanted.batch_id, wanted.candidate, wanted.sets)
