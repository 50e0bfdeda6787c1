"""The whole chain through its public verbs, on a real platform; also as a process that a test may kill.

`python -m mlops_assets_tests.lifecycle.chain FOLDER BATCH` takes a batch from validation to its end.
"""

import sys
from dataclasses import replace
from pathlib import Path

from mlops_assets.core.clock import Clock, utc_now
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Decision, ReviewAnswer
from mlops_assets.lifecycle.decide import decide
from mlops_assets.lifecycle.deployment.release import reconcile, release
from mlops_assets.lifecycle.evaluation.evaluate import evaluate
from mlops_assets.lifecycle.intake.ingest import ingest
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets.lifecycle.quarantine import quarantine
from mlops_assets.lifecycle.training.train import train
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings
from mlops_assets_tests.lines import BATCHES, baseline_line
from mlops_assets_tests.platform_fixture import InProcess, make_platform

YES = ReviewAnswer(approve=True, reviewer="bob", reason="read them", answered_at="2026-01-01T00:00:00+00:00")


def open_line(folder: Path) -> tuple[Platform, Line]:
    """Open the platform under `folder` as a process finds it, with processes for tasks and a real MLflow."""
    line = baseline_line(folder)
    made = open_platform(Settings(root=folder, home=folder / "home"))
    return replace(made, lines=lambda: [line], code_version=lambda _: "test"), line


def open_light_line(folder: Path, clock: Clock = utc_now) -> tuple[Platform, Line]:
    """Open the same platform with tasks in this process and a notebook for a tracker."""
    line = baseline_line(folder)
    made = make_platform(folder, compute=InProcess(), lines=lambda: [line], clock=clock)
    return replace(made, code_version=lambda _: "test"), line


def submit(platform: Platform, line: Line, kind: str, **changes: int) -> str:
    folder = BATCHES[kind](platform.root / f"{kind}{len(platform.batches.list(line.line))}", **changes)
    record, _ = ingest(platform, line, folder, contributor="ann", source="cli")
    return record.batch_id


def judge(platform: Platform, line: Line, batch_id: str) -> Decision:
    validate(platform, line, batch_id)
    train(platform, line, batch_id)
    evaluate(platform, line, batch_id)
    return decide(platform, line, batch_id)


def run(platform: Platform, line: Line, batch_id: str) -> Decision:
    decision = judge(platform, line, batch_id)
    if decision.verdict == "APPROVE":
        release(platform, line, batch_id)
    if decision.verdict == "REJECT":
        quarantine(
            platform,
            line,
            batch_id,
            reason_code="REJECTED",
            reason=" ".join(decision.reasons),
            deployment_status="FAILED_EVALUATION",
            logs=None,
        )
    return decision


if __name__ == "__main__":
    platform, line = open_line(Path(sys.argv[1]))
    reconcile(platform)
    run(platform, line, sys.argv[2])
