"""An upgrade, host by host: what a newer release writes for others to read, this one reads, and goes on."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.serving import Beat, ServedVersion
from mlops_assets.lifecycle.deployment.moving import state_after
from mlops_assets.lifecycle.monitoring.watching import Looked, look, state
from mlops_assets_tests.lifecycle.monitoring.rolling import canary_of

LATER = {"added_later": {"deep": [1]}}


def rewrite(platform: Platform, table: str, column: str, change: Callable[[Any], None]) -> None:
    """Let a newer release have written the rows of a table."""
    with closing(sqlite3.connect(platform.home / "platform.db")) as tables, tables:
        for (text,) in tables.execute(f"SELECT {column} FROM {table}").fetchall():
            document = json.loads(text)
            change(document)
            tables.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (json.dumps(document), text))


def requests(looked: Looked) -> list[tuple[int, int]]:
    """Return how many requests of each arm were counted, by step."""
    assert looked.state.rollout is not None
    return [(step.canary.requests, step.stable.requests) for step in looked.state.rollout.steps]


def test_what_a_newer_release_adds_is_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    platform, line, traffic = canary_of(tmp_path)
    sent = traffic.send(200)
    counted = look(platform, line, platform.clock())
    now = platform.clock()
    served = ServedVersion(version=1, servable="s", state="ready")
    beat = Beat(gateway="web1:1", at=now.isoformat(), lines={line.line: (served,)})
    platform.watch.beat(beat)
    before = now - timedelta(days=1)
    samples, pointer = platform.watch.history(line.line, before), platform.versions.pointer(line.line)
    live, seen = platform.serving.live(line.line), state(platform, line)
    found = platform.events.find(line.line, sent[:3])
    assert samples
    assert found
    assert pointer.rollout

    def add_to_beat(body: Any) -> None:
        body.update(LATER)
        body["lines"][line.line][0].update(LATER)

    def add_to_sample(body: Any) -> None:
        body.update(LATER)
        for signal in body["signals"]:
            signal.update(LATER)

    def add_to_watch(body: Any) -> None:
        for each in (body, body["shown"], body["shown"]["rollout"], body["trial"]):
            each.update(LATER)

    rewrite(platform, "gateways", "body", add_to_beat)
    rewrite(platform, "health", "body", add_to_sample)
    rewrite(platform, "watches", "body", add_to_watch)
    rewrite(platform, "pointers", "rollout", lambda body: body.update(LATER))
    rewrite(platform, "events", "body", lambda body: body.update(LATER))
    file = platform.home / "serving" / f"{line.line}.json"
    published = json.loads(file.read_text())
    file.write_text(json.dumps(published | LATER | {"arms": [each | LATER for each in published["arms"]]}))

    assert platform.watch.gateways(before) == [beat]
    assert platform.watch.history(line.line, before) == samples
    assert platform.versions.pointer(line.line) == pointer
    assert platform.serving.live(line.line) == live
    assert platform.events.find(line.line, sent[:3]) == found
    assert state(platform, line) == seen
    assert look(platform, line, platform.clock()).events == 0
    traffic.send(200)
    assert 0 < look(platform, line, platform.clock()).events <= counted.events + 10


def test_a_watch_that_cannot_be_read_begins_anew_with_all_that_the_rollout_saw(tmp_path: Path) -> None:
    platform, line, traffic = canary_of(tmp_path)
    traffic.send(200)
    first = look(platform, line, platform.clock())
    rewrite(platform, "watches", "body", lambda body: body.update(trial="of another kind"))
    again = look(platform, line, platform.clock())
    assert (again.state.cursor, requests(again)) == (first.state.cursor, requests(first))
    assert look(platform, line, platform.clock()).events == 0


def test_a_move_of_a_newer_release_is_read_from_the_ledger(tmp_path: Path) -> None:
    platform, line, _ = canary_of(tmp_path)
    entry = platform.ledger.entries(line.line, "deployed", newest=1)[-1]
    rollout: Any = entry.body["rollout"]
    newer = entry.model_copy(update={"body": {**entry.body, "rollout": rollout | LATER}})
    assert state_after(newer) == state_after(entry) == platform.versions.pointer(line.line)
