"""A verb that is killed between two steps, and a serving pointer that is damaged: done once, and healed."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mlops_assets.core.errors import Corrupt, Unavailable
from mlops_assets.lifecycle import auditing
from mlops_assets.lifecycle.deployment.release import reconcile
from mlops_assets.lifecycle.deployment.rollout import advance, deploy, retire, rollback
from mlops_assets.lifecycle.failpoints import VARIABLE
from mlops_assets_tests.lifecycle.released import call, lined_up, live, opened, shares


def run(folder: Path, strategy: str, verb: str, number: int, point: str = "") -> int:
    command = [sys.executable, "-m", "mlops_assets_tests.lifecycle.released", str(folder), strategy, verb, str(number)]
    return subprocess.run(command, env={**os.environ, VARIABLE: point}).returncode


def killed() -> Iterator[object]:
    """Give every verb with both ways to heal it, one of them by default: each case starts two processes."""
    kinds = {"deploy": "deployed", "advance": "advanced", "promote": "promoted", "rollback": "rolled_back"}
    for at, (verb, kind) in enumerate(kinds.items()):
        for also, healed_by in enumerate(("itself", "reconcile")):
            marks = [pytest.mark.slow] if (at + also) % 2 else []
            yield pytest.param(verb, kind, 3 if verb == "deploy" else 0, healed_by, marks=marks)


@pytest.mark.parametrize(("verb", "kind", "number", "healed_by"), list(killed()))
def test_killed_between_any_two_steps_a_verb_is_done_once(
    tmp_path: Path, verb: str, kind: str, number: int, healed_by: str
) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="canary")
    if verb != "deploy":
        deploy(platform, line, 3, actor="ann", reason="a try")
    before = len(platform.ledger.entries(line.line))
    revision = platform.versions.pointer(line.line).revision
    for point in ("after ledger", "after pointer"):
        assert run(tmp_path, "canary", verb, number, f"{verb}: {point}") == -9
    call(*opened(tmp_path, deployment_strategy="canary"), verb if healed_by == "itself" else "reconcile", number)
    platform, line = opened(tmp_path, deployment_strategy="canary")
    pointer = platform.versions.pointer(line.line)
    assert pointer.revision == live(platform, line).revision == revision + 1
    assert len(platform.ledger.entries(line.line)) == before + 1
    assert platform.ledger.entries(line.line)[-1].kind == kind
    expected = {"deploy": (1, 0.1), "advance": (1, 0.25), "promote": (3, 0.0), "rollback": (1, 0.0)}[verb]
    assert (pointer.roles["production"], pointer.rollout.share if pointer.rollout else 0.0) == expected
    assert auditing.disagreements(platform) == platform.ledger.verify() == []


def test_killed_while_retiring_it_is_retired_once(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path)
    assert run(tmp_path, "replace", "retire", 3, "retire: after ledger") == -9
    reconcile(platform)
    assert platform.versions.get(line.line, 3).retired_at is not None
    retire(platform, line, 3, actor="bob", reason="again")
    assert [entry.body["reason"] for entry in platform.ledger.entries(line.line, "retired")] == ["old"]


def test_a_damaged_serving_pointer_is_written_anew(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="canary")
    deploy(platform, line, 2, actor="ann", reason="x")
    before, file = live(platform, line), platform.home / "serving" / f"{line.line}.json"
    old_form = '{"line":"topics","revision":9,"version":1,"servable":"s","path":"p"}'
    other = before.arms[1].model_copy(update={"role": "production", "share": 1.0})
    elsewhere = [
        before.model_copy(update={"revision": at, "arms": (other,)}).canonical_json() for at in (1, before.revision, 99)
    ]
    damage: list[Callable[[], object]] = [
        lambda: file.write_text("{"),
        lambda: file.write_text(old_form),
        lambda: file.write_bytes(b"\xff\x00"),
        file.unlink,
        *(partial(file.write_text, text) for text in elsewhere),
    ]
    for damaged in damage:
        damaged()
        reconcile(platform)
        assert live(platform, line) == before
    file.write_text(old_form)
    with pytest.raises(Corrupt, match=r"cannot be read. Nothing is lost.*Gateways write it anew"):
        platform.serving.live(line.line)
    assert advance(platform, line, actor="ann", reason="x").revision == live(platform, line).revision
    file.write_text(elsewhere[-1])
    rollback(platform, line, to=None, reason="x", actor="ann")
    assert shares(platform, line) == {"production": (1, 1.0)}, "tables that a backup brought back are followed at once"


def test_a_disk_that_does_not_take_the_serving_pointer_is_said_and_made_up_for(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path)
    deploy(platform, line, 2, actor="ann", reason="x")
    lock = platform.home / "serving" / f".{line.line}.lock"
    lock.unlink()
    lock.mkdir()
    with pytest.raises(Unavailable, match=r"What topics serves is decided, but .*topics.json cannot be written"):
        rollback(platform, line, to=None, reason="it hurts", actor="bob")
    reconcile(platform)
    assert live(platform, line).production.version == 2
    lock.rmdir()
    assert rollback(platform, line, to=None, reason="it hurts", actor="bob").roles["production"] == 1
    assert live(platform, line).production.version == 1
    assert len(platform.ledger.entries(line.line, "rolled_back")) == 1, "the same command finishes the move"
