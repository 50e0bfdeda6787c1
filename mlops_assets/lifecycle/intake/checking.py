"""Running a family's `check` over files that are not trusted: unpacked, in a process of its own, under limits."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.core.errors import TaskFailed
from mlops_assets.core.family import Checked
from mlops_assets.core.line import Limits, Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.tasks import CheckResult, CheckTask
from mlops_assets.lifecycle.intake.archive import Unpacked, unpack

MINUTES, MEMORY_GB = 30.0, 2.0
WAIT_SECONDS = 600.0


@dataclass(frozen=True)
class Examined:
    """What unpacking and checking gave; `checked` is None if unpacking or the process ended it."""

    unpacked: Unpacked
    dataset: Path
    checked: Checked | None = None
    failure: TaskFailed | None = None


@contextmanager
def examined(
    platform: Platform, line: Line, source: Path, *, name: str, filename: str, progress: Path
) -> Iterator[Examined]:
    """Unpack `source` and check it in `<home>/work/<line>/<name>`, which is gone when the block ends.

    Busy if another process works there; what a killed one left there is removed.
    """
    folder = platform.home / "work" / line.line / name
    with platform.leases.hold(f"work:{line.line}:{name}", holder=uuid.uuid4().hex, wait_seconds=WAIT_SECONDS):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            unpacked = unpack(source, folder / "batch", filename=filename)
            dataset = folder / "dataset"
            if unpacked.refused:
                yield Examined(unpacked, dataset)
                return
            task = CheckTask(
                family=line.family,
                config=line.config,
                folder=str(folder / "batch"),
                out=str(dataset),
                progress=str(progress),
            )
            yield _run(platform, line, task, Examined(unpacked, dataset))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _run(platform: Platform, line: Line, task: CheckTask, sofar: Examined) -> Examined:
    limits = Limits(minutes=min(line.limits.minutes, MINUTES), memory_gb=min(line.limits.memory_gb, MEMORY_GB))
    try:
        result = platform.compute.run(task, limits)
    except TaskFailed as failure:
        return Examined(sofar.unpacked, sofar.dataset, failure=failure)
    if not isinstance(result, CheckResult):
        raise TaskFailed(f"The checking process answered with a {result.task} result.")
    return Examined(sofar.unpacked, sofar.dataset, checked=result.checked)
