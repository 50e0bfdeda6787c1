"""Lines with versions of a few bytes, without a training: for tests of what serves; also as a process that is killed.

`python -m mlops_assets_tests.lifecycle.released FOLDER STRATEGY VERB [VERSION]` calls one verb.
"""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mlops_assets.core.clock import Clock, utc_now
from mlops_assets.core.line import Line, Release
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer, Version
from mlops_assets.core.serving import Live
from mlops_assets.lifecycle.deployment import retention, rollout
from mlops_assets.lifecycle.deployment.release import reconcile
from mlops_assets_tests.lifecycle.chain import open_light_line


def opened(folder: Path, clock: Clock = utc_now, **release: object) -> tuple[Platform, Line]:
    """Open the line under `folder` with these settings of its release."""
    platform, line = open_light_line(folder, clock)
    line = line.model_copy(update={"release": Release.model_validate(release)})
    return replace(platform, lines=lambda: [line]), line


def put(platform: Platform, files: Mapping[str, str]) -> str:
    """Store a folder of texts."""
    folder = Path(tempfile.mkdtemp(dir=platform.home))
    for name, text in files.items():
        (folder / name).write_text(text)
    return platform.store.put_folder(folder)


def version(platform: Platform, line: Line, text: str = "") -> Version:
    """Number a version whose bytes are its own."""
    number = len(platform.versions.list(line.line)) + 1
    digest = put(platform, {"model.json": text or f'"{line.line} {number}"', "labels.json": '"the same for all"'})
    return platform.versions.add(
        line.line, servable=digest, model=digest, batch_id=None, decision_id=f"d{number}", parent_version=None
    )


def lined_up(folder: Path, versions: int = 3, clock: Clock = utc_now, **release: object) -> tuple[Platform, Line]:
    """Open a line that serves version 1 and has others."""
    platform, line = opened(folder, clock, **release)
    for _ in range(versions):
        version(platform, line)
    rollout.deploy(platform, line, 1, strategy="replace", actor="ann", reason="the first")
    return platform, line


def live(platform: Platform, line: Line) -> Live:
    found = platform.serving.live(line.line)
    assert found is not None
    return found


def shares(platform: Platform, line: Line) -> dict[str, tuple[int, float]]:
    """Return version and share of every arm that is published."""
    return {arm.role: (arm.version, arm.share) for arm in live(platform, line).arms}


def call(platform: Platform, line: Line, verb: str, number: int) -> Pointer | None:
    """Call one verb, as anybody would."""
    match verb:
        case "deploy":
            return rollout.deploy(platform, line, number, actor="ann", reason="why not")
        case "advance":
            return rollout.advance(platform, line, actor="ann", reason="it does well")
        case "promote":
            return rollout.promote(platform, line, actor="ann", reason="it did well")
        case "hold":
            return rollout.hold(platform, line, why="nobody knows")
        case "rollback":
            return rollout.rollback(platform, line, to=None, reason="it hurts", actor="ann")
        case "retire":
            rollout.retire(platform, line, number, actor="ann", reason="old")
        case "delete":
            retention.delete_retired(platform)
        case "reconcile":
            reconcile(platform)
    return None


if __name__ == "__main__":
    opened_line = opened(Path(sys.argv[1]), deployment_strategy=sys.argv[2])
    call(*opened_line, sys.argv[3], int((*sys.argv, "0")[4]))
