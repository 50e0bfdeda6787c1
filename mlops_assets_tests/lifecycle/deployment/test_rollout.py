"""The state machine of what serves: every arrow and every refusal."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.core.errors import Busy, Corrupt, NotFound, Refused, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.serving import Beat, ServedVersion
from mlops_assets.lifecycle.deployment import serving_history
from mlops_assets.lifecycle.deployment.release import reconcile
from mlops_assets.lifecycle.deployment.rollout import advance, deploy, hold, promote, retire, rollback, settle
from mlops_assets_tests.lifecycle.released import lined_up, live, opened, shares
from mlops_assets_tests.platform_fixture import RecordingTracker


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
    assert platform.ledger.entries(line.line, "promoted")[-1].body["reason"] == "Loaded by web:1, web:2"


def test_green_does_not_wait_for_gateways_of_other_lines(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="blue_green")
    other = line.model_copy(update={"line": "others"})
    says(platform, other, "other:1", 7, "ready")
    says(platform, line, "web:1", 1, "ready")
    assert deploy(platform, line, 2, actor="ann", reason="x").rollout is not None
    says(platform, line, "web:1", 2, "ready")
    assert settle(platform, line).roles == {"production": 2, "previous": 1}


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
