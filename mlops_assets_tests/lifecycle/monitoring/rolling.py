"""A line in the middle of a canary, and what was said about it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.deployment.rollout import deploy
from mlops_assets.lifecycle.monitoring.watching import look
from mlops_assets_tests.lifecycle.released import lined_up
from mlops_assets_tests.lifecycle.traffic import Ticking, Traffic

QUICK = {"deployment_strategy": "canary", "step_minutes": 0, "min_minutes": 0}


def canary_of(folder: Path, **release: object) -> tuple[Platform, Line, Traffic]:
    """Return a line that serves version 1, with good answers behind it, and gives version 2 to its first users."""
    clock = Ticking()
    platform, line = lined_up(folder, clock=clock, **{**QUICK, **release})
    traffic = Traffic(platform, line, clock=clock)
    traffic.send(600)
    look(platform, line, platform.clock())
    deploy(platform, line, 2, actor="ann", reason="a try")
    return platform, line, traffic


def kinds(platform: Platform, line: Line) -> list[str]:
    return [entry.kind for entry in platform.ledger.entries(line.line)]


def told(platform: Platform, words: str) -> list[str]:
    """Return the titles of the alerts that hold these words, from the outbox as it is on the disk."""
    with closing(sqlite3.connect(platform.home / "platform.db")) as connection:
        rows = connection.execute("SELECT payload FROM outbox WHERE kind = 'alert' ORDER BY id").fetchall()
    titles = [json.loads(payload)["title"] for (payload,) in rows]
    return [title for title in titles if words in title]
