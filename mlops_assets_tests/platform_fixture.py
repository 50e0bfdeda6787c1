"""A real platform in a temporary folder: real files, a real SQLite database, real records; only two ports differ.

Tasks run in this process, by the same function that a worker process runs, unless a test asks for
`LocalProcess`. The tracker is a notebook, unless a test is about MLflow.
"""

import gc
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_assets import worker
from mlops_assets.core.clock import Clock, utc_now
from mlops_assets.core.errors import TaskFailed
from mlops_assets.core.family import Progress
from mlops_assets.core.line import Limits, Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer, Version
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.core.tasks import Task, TaskResult
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings
from mlops_assets_tests.waiting import wait_until


class InProcess:
    """Fills `Compute` within this process: no limits, and an error of the task is a TaskFailed as from a process."""

    def run(self, task: Task, limits: Limits) -> TaskResult:
        progress = Path(task.progress)
        progress.parent.mkdir(parents=True, exist_ok=True)

        def report(message: Progress) -> None:
            with progress.open("a", encoding="utf-8") as file:
                file.write(message.canonical_json() + "\n")

        try:
            return worker.run(task, report)
        except Exception as error:
            raise TaskFailed(f"The {task.task} task failed: {error!r}.", cause="it ended with exit code 1") from error


class RecordingTracker:
    """Fills `Tracker` with lists that a test can look at; ids are numbers in order."""

    def __init__(self) -> None:
        self.trainings: list[tuple[CandidateModel, Mapping[str, Any]]] = []
        self.evaluations: list[tuple[EvalReport, str]] = []
        self.releases: list[tuple[Version, Decision | None, str]] = []
        self.pointers: list[Pointer] = []
        self.decisions: list[tuple[Decision, str]] = []

    def training(self, line: Line, candidate: CandidateModel, parameters: Mapping[str, Any]) -> str | None:
        self.trainings.append((candidate, parameters))
        return f"run-{len(self.trainings)}"

    def evaluation(self, line: Line, candidate: CandidateModel, report: EvalReport, page: str) -> str | None:
        self.evaluations.append((report, page))
        return candidate.mlflow_run_id

    def release(self, version: Version, decision: Decision | None, card: str) -> str | None:
        self.releases.append((version, decision, card))
        return str(version.version)

    def decision(self, line: Line, decision: Decision, page: str) -> None:
        self.decisions.append((decision, page))

    def roles(self, line: str, pointer: Pointer) -> None:
        self.pointers.append(pointer)

    def reconcile(self) -> int:
        return 0

    def link(self, run_id: str) -> str | None:
        return None


@pytest.fixture
def in_process() -> InProcess:
    """A Compute without processes."""
    return InProcess()


@pytest.fixture
def platform(tmp_path: Path, in_process: InProcess) -> Platform:
    """A platform that knows no lines; its tracker is a `RecordingTracker`."""
    return make_platform(tmp_path, compute=in_process)


@pytest.fixture
def recorded(platform: Platform) -> RecordingTracker:
    """The tracker of `platform`."""
    assert isinstance(platform.tracker, RecordingTracker)
    return platform.tracker


def make_platform(
    tmp_path: Path, *, compute: Any = None, lines: Callable[[], list[Line]] = list, clock: Clock = utc_now
) -> Platform:
    """Build a platform under `tmp_path`; without `compute`, tasks run in real processes."""
    settings = Settings(root=tmp_path, home=tmp_path / "home")
    return replace(open_platform(settings, compute=compute, clock=clock), tracker=RecordingTracker(), lines=lines)


def copied(folder: Path, to: Path) -> Path:
    """Copy a folder with a home that this process made and left; return the copy.

    Its databases are closed first: each loses its log when it is, which a copy that is being made would miss. What is
    left of a platform is let go of; a thread of a lease may hold it for a moment longer.
    """

    def closed() -> bool:
        gc.collect()
        return not [*folder.rglob("*.db-wal")]

    wait_until(closed)
    return Path(shutil.copytree(folder, to))
