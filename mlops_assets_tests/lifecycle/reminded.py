"""Remind people in a process of its own: `python -m ... FOLDER EXPIRE_HOURS NOW`."""

import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from mlops_assets.core.line import Line
from mlops_assets.core.policy import Human
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.reminding import remind
from mlops_assets_tests.lifecycle.decide.evaluated import LINE, open_platform


def expiring(folder: Path, human: Human) -> tuple[Platform, Line]:
    """Open the platform under `folder`, with a line whose questions wait as `human` says."""
    line = LINE.model_copy(update={"policy": LINE.policy.model_copy(update={"human": human})})
    return replace(open_platform(folder), lines=lambda: [line]), line


if __name__ == "__main__":
    platform, _ = expiring(Path(sys.argv[1]), Human(expire_hours=float(sys.argv[2])))
    told = remind(platform, datetime.fromisoformat(sys.argv[3]))
    print(f"{len(told.reminded)} reminded, {len(told.expired)} expired")  # noqa: T201
