"""The state machine of what serves: every arrow, every refusal, every kill, and any sequence of them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.core.errors import Busy, Corrupt, NotFound, PlatformError, Refused, Stale, Unavailable
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.serving import Beat, ServedVersion
from mlops_assets.lifecycle import auditing
from mlops_assets.lifecycle.deployment import serving_history
from mlops_assets.lifecycle.deployment.moving import KINDS
from mlops_assets.lifecycle.deployment.release import reconcile
from mlops_assets.lifecycle.deployment.rollout import advance, deploy, hold, promote, retire, rollback, settle
from mlops_assets.lifecycle.failpoints import VARIABLE
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings
from mlops_assets_tests.lifecycle.released import call, lined_up, live, opened, shares
from mlops_assets_tests.platform_fixture import RecordingTracker
from mlops_assets_tests.postgres_fixture import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


def test_a_canary_goes_step_by_step_to_all_users(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="canary")
    begun = deploy(platform, line, 2, actor="ann", reason="a try")
    assert begun.rollout is not None
    assert (begun.rollout.against, begun.rollout.step, begun.rollout.shadow) == (1, 0, 0.1)
    assert begun.roles == {"production": 1, "canary": 2}
    assert shares(platform, line) == {"production": (1, 0.9), "canary": (2, 0.1)}
    for share in (0.25, 0.5):
        advance(platform, line, actor="judge", reason="no harm")
        assert shares(platform, line) == {"production": (1, 1 - share), "canary": (2, share)}
    with pytest.raises(Refused, match=r"no further step.*promote topics"):
        advance(platform, line, actor="judge", reason="no harm")
    done = promote(platform, line, actor="judge", reason="better")
    assert (done.roles, done.rollout) == ({"production": 2, "previous": 1}, None)
    assert promote(platform, line, actor="judge", reason="better") == done, "clicked twice"
    assert shares(platform, line) == {"production": (2, 1.0), "previous": (1, 0.0)}, "the way back stays warm"
    assert isinstance(platform.tracker, RecordingTracker)
    assert [each.roles.get("canary") for each in platform.tracker.pointers][-3:] == [2, None, None]
    kinds = [entry.kind for entry in platform.ledger.entries(line.line)]
    assert kinds == ["deployed", "deployed", "advanced", "advanced", "promoted"]


def test_a_rollback_in_the_middle_takes_the_rollout_alone_back(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="canary")
    deploy(platform, line, 2, actor="ann", reason="a try")
    promote(platform, line, actor="ann", reason="fine")
    deploy(platform, line, 3, actor="ann", reason="a try")
    with pytest.raises(Refused, match="takes that back first"):
        rollback(platform, line, to=1, reason="confused", actor="bob")
    back = rollback(platform, line, to=None, reason="it hurts", actor="bob")
    assert (back.roles, back.rollout) == ({"production": 2, "previous": 1}, None)
    assert shares(platform, line) == {"production": (2, 1.0), "previous": (1, 0.0)}
    with pytest.raises(Refused, match="rolled back to version 2 by bob"):
        rollback(platform, line, to=None, reason="it hurts", actor="eve")
    assert rollback(platform, line, to=1, reason="that, too", actor="eve").roles["production"] == 1
    with pytest.raises(Refused, match="No version of topics is being rolled out"):
        promote(platform, line, actor="ann", reason="late")


def test_rolling_back_goes_to_the_last_good_version(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, versions=4)
    for number in (2, 3):
        deploy(platform, line, number, actor="ann", reason="next")
    assert rollback(platform, line, to=None, reason="bad", actor="bob").roles == {"production": 2, "previous": 3}
    deploy(platform, line, 4, actor="ann", reason="next")
    assert rollback(platform, line, to=None, reason="bad", actor="bob").roles["production"] == 2
    assert serving_history.fallback(platform, line) == 1, "3 and 4 were taken back"


def test_two_who_roll_back_at_once_go_back_once(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path)
    for number in (2, 3):
        deploy(platform, line, number, actor="ann", reason="next")

    def click(_: int) -> str:
        try:
            return str(rollback(platform, line, to=None, reason="bad", actor="bob").roles["production"])
        except Refused:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(click, range(4))) == ["2", "refused", "refused", "refused"]
    assert len(platform.ledger.entries(line.line, "rolled_back")) == 1


def test_who_decided_on_what_has_moved_since_is_told_so(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="canary")
    seen = deploy(platform, line, 2, actor="ann", reason="a try").revision
    now = advance(platform, line, actor="ann", reason="fine", revision=seen)
    verbs: list[Callable[[], object]] = [
        lambda: advance(platform, line, actor="judge", reason="fine", revision=seen),
        lambda: promote(platform, line, actor="judge", reason="fine", revision=seen),
        lambda: hold(platform, line, why="nobody knows", revision=seen),
        lambda: rollback(platform, line, to=None, reason="bad", actor="judge", revision=seen),
    ]
    for verb in verbs:
        with pytest.raises(Stale, match=f"from revision {seen} to {now.revision} meanwhile"):
            verb()
    assert platform.versions.pointer(line.line) == now


def test_what_served_at_a_time_is_known_to_the_millisecond_in_any_zone(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="canary")
    deploy(platform, line, 2, actor="ann", reason="a try")
    promote(platform, line, actor="ann", reason="fine")
    told = serving_history.history(platform, line)
    zones = [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-12))]
    moments = [datetime.fromisoformat(each.at) for each in told]
    for moment, zone in product(moments, zones):
        last = max(at for at, other in enumerate(moments) if other == moment)
        assert serving_history.served_at(platform, line, moment.astimezone(zone)) == told[last], "from its moment on"
        before = serving_history.served_at(platform, line, (moment - timedelta(milliseconds=1)).astimezone(zone))
        earlier = [each for each, other in zip(told, moments, strict=True) if other < moment]
        assert before == (earlier[-1] if earlier else None), "and not before"
    assert serving_history.served_at(platform, line, datetime.max.replace(tzinfo=UTC)) == told[-1]
    assert serving_history.served_at(platform, line, datetime.min.replace(tzinfo=zones[1])) is None


def test_entries_of_earlier_releases_of_the_platform_are_replayed_by_what_they_name(tmp_path: Path) -> None:
    platform, line = opened(tmp_path)
    old = (
        ("bootstrapped", {"version": 1, "servable": "a"}),
        ("released", {"version": 2, "previous": 1, "servable": "b", "decision": "d", "reasons": ["better"]}),
        ("decided", {"verdict": "APPROVE"}),
        ("released", {"version": 3, "previous": 2, "servable": "c", "decision": "e", "reasons": ["better"]}),
        ("rolled_back", {"from": 3, "to": 2, "reason": "bad", "revision": 4}),
        ("rebaselined", {"version": 4, "replaced": 2, "revision": 5, "reason": "new code"}),
    )
    for number, (kind, body) in enumerate(old):
        platform.ledger.append(kind, line.line, actor="ann", body=body, key=str(number))
    told = serving_history.history(platform, line)
    assert [(each.event, each.production) for each in told] == [
        ("bootstrapped", 1),
        ("released", 2),
        ("released", 3),
        ("rolled_back", 2),
        ("rebaselined", 4),
    ]
    assert serving_history.good_versions(told) == [1, 4], "3 was taken back, and 2 could not be evaluated"


def test_while_a_version_is_rolled_out_no_other_begins(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="canary")
    deploy(platform, line, 2, actor="ann", reason="a try")
    before = live(platform, line)
    with pytest.raises(Busy, match="Version 2 of topics is being rolled out to 10% of users"):
        deploy(platform, line, 3, actor="bob", reason="me, too")
    assert live(platform, line) == before


def test_a_rollout_that_is_held_stands_still_and_is_told_once(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="canary")
    with pytest.raises(Refused, match="No version"):
        hold(platform, line, why="x")
    deploy(platform, line, 2, actor="ann", reason="a try")
    held = hold(platform, line, why="nothing was asked for 72 hours")
    assert hold(platform, line, why="still nothing") == held
    assert held.rollout is not None
    assert held.rollout.held == "nothing was asked for 72 hours"
    assert shares(platform, line)["canary"] == (2, 0.1)
    (entry,) = platform.ledger.entries(line.line, "held")
    assert entry.body["why"] == "nothing was asked for 72 hours"
    further = advance(platform, line, actor="ann", reason="go on")
    assert further.rollout is not None
    assert (further.rollout.held, further.rollout.share) == ("", 0.25)


def test_what_cannot_serve_is_refused_with_a_sentence(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, versions=4)
    with pytest.raises(NotFound, match="It has 1, 2, 3, 4"):
        deploy(platform, line, 9, actor="ann", reason="x")
    with pytest.raises(NotFound, match="It has 1, 2, 3, 4"):
        rollback(platform, line, to=9, reason="x", actor="ann")
    with pytest.raises(Refused, match="serves already"):
        deploy(platform, line, 1, actor="ann", reason="x")
    deploy(platform, line, 2, actor="ann", reason="x")
    for number, why in ((2, "is production"), (1, "the last good one")):
        with pytest.raises(Refused, match=why):
            retire(platform, line, number, actor="ann", reason="x")
    retired = retire(platform, line, 3, actor="ann", reason="a licence")
    assert retire(platform, line, 3, actor="bob", reason="again") == retired
    (entry,) = platform.ledger.entries(line.line, "retired")
    assert (entry.actor, entry.body["reason"]) == ("ann", "a licence")
    with pytest.raises(Refused, match="was retired at"):
        deploy(platform, line, 3, actor="ann", reason="x")
    with pytest.raises(Refused, match="was retired at"):
        rollback(platform, line, to=3, reason="x", actor="ann")
    pending = platform.versions.add(
        line.line, servable="a" * 64, model="b" * 64, batch_id="20260101-abc", decision_id="p", parent_version=None
    )
    with pytest.raises(Refused, match="never released"):
        deploy(platform, line, pending.version, actor="ann", reason="x")


def spoil(platform: Platform, line: Line, number: int) -> None:
    """Change a version's bytes on the disk, and every copy."""
    for path in platform.home.rglob("*"):
        if path.is_file() and path.read_bytes() == f'"{line.line} {number}"'.encode():
            path.chmod(0o644)
            path.write_bytes(b'"spoiled"')


def test_nothing_is_replaced_that_could_not_be_fallen_back_to(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path)
    spoil(platform, line, 1)
    platform, line = opened(tmp_path)
    before = platform.versions.pointer(line.line)
    with pytest.raises(Corrupt, match=r"nothing to fall back to. Version 1 of topics is not whole.*rebaseline"):
        deploy(platform, line, 2, actor="ann", reason="x")
    assert platform.versions.pointer(line.line) == before
    platform, line = opened(tmp_path, auto_backup_before_deploy=False)
    deploy(platform, line, 2, actor="ann", reason="at my own risk")
    with pytest.raises(Corrupt, match="Version 1 of topics is not whole"):
        rollback(platform, line, to=None, reason="x", actor="ann")
    spoil(platform, line, 3)
    with pytest.raises(Corrupt, match="Version 3 of topics is not whole"):
        deploy(platform, line, 3, actor="ann", reason="x")


def says(
    platform: Platform, line: Line, gateway: str, number: int, state: str, *, ago: timedelta = timedelta(0)
) -> None:
    served = ServedVersion.model_validate({"version": number, "servable": "s", "state": state, "problem": "no memory"})
    platform.watch.beat(Beat(gateway=gateway, at=(datetime.now(UTC) - ago).isoformat(), lines={line.line: (served,)}))


def test_green_takes_over_once_every_living_gateway_has_it(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="blue_green")
    says(platform, line, "gone:1", 1, "ready", ago=timedelta(minutes=5))
    assert deploy(platform, line, 2, actor="ann", reason="x").roles == {"production": 2, "previous": 1}, "none lives"
    assert shares(platform, line) == {"production": (2, 1.0), "previous": (1, 0.0)}
    says(platform, line, "web:1", 2, "ready")
    says(platform, line, "web:2", 2, "ready")
    assert deploy(platform, line, 3, actor="ann", reason="x").roles["candidate"] == 3
    assert shares(platform, line) == {"production": (2, 1.0), "candidate": (3, 0.0)}
    says(platform, line, "web:1", 3, "ready")
    says(platform, line, "web:2", 3, "loading")
    assert settle(platform, line).rollout is not None
    says(platform, line, "web:2", 3, "ready")
    reconcile(platform)
    assert platform.versions.pointer(line.line).roles == {"production": 3, "previous": 2}
    assert platform.ledger.entries(line.line, "promoted")[-1].body["reason"] == "Loaded by 2 gateways"


@pytest.mark.parametrize("strategy", ["blue_green", "canary"])
def test_a_version_that_a_gateway_cannot_load_is_taken_back(tmp_path: Path, strategy: str) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy=strategy)
    says(platform, line, "web:1", 1, "ready")
    deploy(platform, line, 2, actor="ann", reason="x")
    says(platform, line, "web:1", 2, "failed")
    assert settle(platform, line).roles == {"production": 1}
    (entry,) = platform.ledger.entries(line.line, "rolled_back")
    assert entry.body["reason"] == "Version 2 does not load at web:1: no memory"
    platform, line = opened(tmp_path, deployment_strategy=strategy, deployment_rollback=False)
    deploy(platform, line, 3, actor="ann", reason="x")
    says(platform, line, "web:1", 3, "failed")
    held = settle(platform, line)
    assert held.rollout is not None
    assert "does not load" in held.rollout.held
    assert settle(platform, line) == held


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


VERBS = st.tuples(
    st.sampled_from(["deploy", "advance", "promote", "hold", "rollback", "retire", "reconcile"]), st.integers(1, 4)
)


def walk(platform: Platform, line: Line, verbs: list[tuple[str, int]]) -> None:
    """Call any verbs in any order; what is refused changes nothing, and the ledger tells the whole story."""
    seen, said = [platform.versions.pointer(line.line)], list[str]()
    for verb, number in verbs:
        before = platform.versions.pointer(line.line)
        try:
            call(platform, line, verb, number)
        except PlatformError as error:
            said.append(str(error))
            changed = platform.versions.pointer(line.line) != before
        else:
            changed = False
        assert not changed
        after = platform.versions.pointer(line.line)
        if after != before:
            seen.append(after)
            assert after.revision in (before.revision + 1, before.revision + 2)
        published = live(platform, line)
        assert (published.revision, published.production.version) == (after.revision, after.roles["production"])
        assert sum(arm.share for arm in published.arms) == pytest.approx(1)
        assert (after.rollout is None) == (not {"canary", "candidate"} & set(after.roles))
        if after.rollout is not None:
            assert after.rollout.against == after.roles["production"] != after.rollout.version
        if before.rollout is not None and verb == "rollback":
            assert after.roles["production"] == before.roles["production"]
        for number in after.roles.values():
            assert platform.versions.get(line.line, number).retired_at is None
    assert all(sentence[0].isupper() or sentence.startswith(line.line) for sentence in said)
    told = serving_history.history(platform, line)
    assert [each.revision for each in told] == list(range(1, seen[-1].revision + 1)), "one entry for each revision"
    by_revision = {each.revision: each for each in told}
    for pointer in seen[1:]:
        share = pointer.rollout.share if pointer.rollout else 0.0
        arms = {arm.version: arm.share for arm in by_revision[pointer.revision].arms}
        assert arms[pointer.roles["production"]] == 1 - share
        assert pointer.rollout is None or arms[pointer.rollout.version] == share
    assert all(earlier.until == later.at for earlier, later in pairwise(told))
    assert {each.event for each in told} <= set(KINDS.values())
    assert auditing.disagreements(platform) == []


@settings(max_examples=8, deadline=None)
@given(strategy=st.sampled_from(["replace", "blue_green", "canary"]), verbs=st.lists(VERBS, max_size=10))
def test_any_sequence_of_verbs_is_what_the_ledger_replays(strategy: str, verbs: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory(prefix="rollout-") as folder:
        platform, line = lined_up(Path(folder), versions=4, deployment_strategy=strategy)
        walk(platform, line, verbs)


def test_the_same_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    made = open_platform(Settings(root=tmp_path, home=tmp_path / "home", database_url=postgres_url))
    local, line = opened(tmp_path, deployment_strategy="canary")
    platform = replace(made, tracker=local.tracker, lines=local.lines)
    for number in range(1, 5):
        digest = platform.store.put_folder(_folder(tmp_path / f"v{number}", str(number)))
        platform.versions.add(
            line.line, servable=digest, model=digest, batch_id=None, decision_id=f"d{number}", parent_version=None
        )
    deploy(platform, line, 1, actor="ann", reason="the first")
    steps = ["deploy", "advance", "hold", "advance", "promote", "rollback", "deploy", "rollback", "retire"]
    walk(platform, line, [(verb, 2 + at // 6) for at, verb in enumerate(steps)])


def _folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "model.json").write_text(text)
    return path


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
