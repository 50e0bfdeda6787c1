"""Versions of the line `topics` that answer as a test needs it, and the pointer that says which of them serve.

A version is a real servable of the baseline family: one label and a weight for each word.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Role, Version
from mlops_assets.core.serving import Rollout, Strategy
from mlops_assets.families.baseline.counts import Counts, write
from mlops_assets.lifecycle.deployment.publishing import arms
from mlops_assets.serving.engine.engine import Engine
from mlops_assets_tests.lines import TOPICS, baseline_line
from mlops_assets_tests.platform_fixture import InProcess, make_platform

SECONDS = 90
BOOM = "boom"  # a word that the versions of `failing` cannot answer


def platform_with(folder: Path, **changes: object) -> tuple[Platform, Line]:
    """Return a platform whose one line serves nothing yet."""
    line = baseline_line(folder, **changes)
    return make_platform(folder, compute=InProcess(), lines=lambda: [line]), line


def answering(platform: Platform, line: Line, label: str, *, weight: float = 99.0) -> Version:
    """Add a version that answers every text with one label; the same `weight` is the same version."""
    labels = dict.fromkeys(TOPICS, 1.0) | {label: weight}
    return _added(platform, line, Counts(smoothing=0.1, labels=labels, words={}))


def failing(platform: Platform, line: Line, label: str) -> Version:
    """Add a version that does the same, and fails at texts with the word BOOM: it takes the logarithm of 0."""
    labels = dict.fromkeys(TOPICS, 1.0) | {label: 99.0}
    return _added(platform, line, Counts(smoothing=0.0, labels=labels, words={BOOM: {label: 1.0}}))


def broken(platform: Platform, line: Line) -> Version:
    """Add a version that cannot be loaded."""
    folder = platform.root / "broken"
    folder.mkdir(exist_ok=True)
    (folder / "counts.json").write_text('{"smoothing": "much"}')
    return _version(platform, line, folder)


def serve(platform: Platform, line: Line, version: Version, **roles: int) -> None:
    """Let a version serve everybody."""
    _move(platform, line, {"production": version.version, **roles}, None)


def roll_out(
    platform: Platform,
    line: Line,
    version: Version,
    share: float,
    *,
    shadow: float = 0.0,
    strategy: Strategy = "canary",
) -> None:
    """Let a version answer a share of the users."""
    pointer = platform.versions.pointer(line.line)
    against, now = pointer.roles["production"], "2026-11-21T00:00:00+00:00"
    rollout = Rollout(
        strategy=strategy, version=version.version, against=against, step=0, share=share, shadow=shadow,
        began_at=now, stepped_at=now,
    )  # fmt: skip
    roles: dict[Role, int] = {"production": against, "canary": version.version}
    _move(platform, line, roles, rollout)


async def until(holds: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait for a condition."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come true in time"
        await asyncio.sleep(0.005)


async def ready(engine: Engine, line: Line, *versions: Version) -> None:
    """Wait until these versions, and no others, are loaded and ready."""
    wanted = {(each.version, "ready") for each in versions}
    await until(lambda: {(each.version, each.state) for each in engine.loaded()[line.line]} == wanted)


def labels(answers: Sequence[object]) -> list[str]:
    """Return the labels of answers."""
    return [getattr(answer, "shown") for answer in answers]  # noqa: B009


def _added(platform: Platform, line: Line, counts: Counts) -> Version:
    folder = platform.root / f"made{len(platform.versions.list(line.line))}"
    write(folder / "counts.json", counts)
    return _version(platform, line, folder)


def _version(platform: Platform, line: Line, folder: Path) -> Version:
    digest = platform.store.put_folder(folder)
    return platform.versions.add(
        line.line, servable=digest, model=digest, batch_id=None, decision_id=None, parent_version=None
    )


def _move(platform: Platform, line: Line, roles: dict[Role, int], rollout: Rollout | None) -> None:
    moved = platform.versions.move(line.line, platform.versions.pointer(line.line), roles, rollout)
    platform.serving.publish(moved, arms(platform, line, moved))
