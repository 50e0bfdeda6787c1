"""Looks at a line: what harms is taken back, what does not is promoted, and what cannot be told waits for a person."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from mlops_assets.core.events import Scanned
from mlops_assets.core.ports.execution import Leases
from mlops_assets.core.serving import Beat, ServedVersion
from mlops_assets.lifecycle.deployment.rollout import deploy, rollback
from mlops_assets.lifecycle.monitoring.watched import seconds
from mlops_assets.lifecycle.monitoring.watching import forget, healths, look, state
from mlops_assets_tests.lifecycle.monitoring.rolling import QUICK, canary_of, kinds, told
from mlops_assets_tests.lifecycle.released import lined_up, shares
from mlops_assets_tests.lifecycle.traffic import Harm, Traffic


def test_a_version_that_harms_nobody_goes_step_by_step_to_all(tmp_path: Path) -> None:
    platform, line, traffic = canary_of(tmp_path, error_margin=0.03, latency_margin=0.08, min_requests=600)
    looked, _ = traffic.until({"promoted"}, each=400)
    assert kinds(platform, line)[-4:] == ["deployed", "advanced", "advanced", "promoted"]
    assert shares(platform, line)["production"] == (2, 1.0)
    told = platform.ledger.entries(line.line, newest=1)[-1]
    assert told.actor == "watch"
    assert "errors: worse by at most" in str(told.body["reason"])
    running = looked.state.rollout
    assert running is not None
    assert running.judged is not None
    assert running.judged.verdict == "PROMOTE"
    assert [step.share for step in running.steps] == [0.1, 0.25, 0.5]
    assert sum(step.canary.requests for step in running.steps) >= line.release.min_requests
    look(platform, line, platform.clock())
    last = state(platform, line).last
    assert last is not None
    assert (last.version, last.ended) == (2, "promoted")
    assert last.chart


def test_a_version_that_is_not_to_be_taken_back_is_held_and_a_person_told_once(tmp_path: Path) -> None:
    platform, line, traffic = canary_of(tmp_path, deployment_rollback=False)
    traffic.harm[2] = Harm(errors=0.3)
    traffic.until({"held"})
    traffic.send(200)
    assert look(platform, line, platform.clock()).did == ()
    pointer = platform.versions.pointer(line.line)
    assert pointer.rollout is not None
    assert pointer.rollout.held.startswith("It harms: errors")
    assert kinds(platform, line).count("held") == 1


def test_production_that_fails_is_no_reason_to_promote_the_other(tmp_path: Path) -> None:
    """F25."""
    platform, line, traffic = canary_of(tmp_path)
    traffic.harm[1] = Harm(errors=0.3)
    looked = look(platform, line, platform.clock())
    for _ in range(5):
        traffic.send(200)
        looked = look(platform, line, platform.clock())
    assert kinds(platform, line)[-1] == "deployed"
    assert looked.state.rollout is not None
    assert looked.state.rollout.judged is not None
    assert looked.state.rollout.judged.verdict == "INCONCLUSIVE"
    assert "production (v1) breaks an absolute limit" in looked.state.rollout.judged.reasons[0]
    assert len(told(platform, "production fails while version 2 is rolled out")) == 1


def test_callers_that_wait_for_a_slow_first_answer_do_not_break_the_split(tmp_path: Path) -> None:
    """While the new version warms up, callers that ask one by one end up waiting for it, all of them."""
    platform, line, traffic = canary_of(tmp_path)
    traffic.share = 0.0
    traffic.send(90)
    traffic.share, traffic.slowest = 1.0, 900.0
    traffic.send(8)
    traffic.share, traffic.slowest = 0.0, 0.0
    traffic.send(6)
    looked = look(platform, line, platform.clock())
    assert looked.did == ()
    running = looked.state.rollout
    assert running is not None
    assert running.judged is not None
    assert (running.judged.broken, running.steps[-1].canary.requests) == (False, 0)


def test_without_traffic_it_holds_and_tells_once(tmp_path: Path) -> None:
    """F24."""
    platform, line, _ = canary_of(tmp_path)
    began = platform.clock()
    assert look(platform, line, began + timedelta(minutes=14)).did == ()
    (did,) = look(platform, line, began + timedelta(minutes=16)).did
    assert "answered nobody for 16 minutes" in did
    assert look(platform, line, began + timedelta(days=4)).did == ()
    pointer = platform.versions.pointer(line.line)
    assert pointer.rollout is not None
    assert (pointer.rollout.share, pointer.roles["production"]) == (0.1, 1)
    assert len(told(platform, "stands still")) == 1


def test_an_undecided_rollout_is_held_after_its_longest_time(tmp_path: Path) -> None:
    platform, line, traffic = canary_of(tmp_path, max_hours=0.2, step_requests=100_000)
    traffic.send(500)
    (did,) = look(platform, line, platform.clock() + timedelta(minutes=13)).did
    assert "Undecided after 0.2 hours" in did
    assert kinds(platform, line)[-1] == "held"


def came(event: Scanned) -> float:
    """Return when its request came."""
    return seconds(event.received_at) - event.fields["latency_ms"] / 1000


def test_two_watches_count_an_answer_once(tmp_path: Path) -> None:
    platform, line, traffic = canary_of(tmp_path, step_requests=100_000)
    traffic.send(1)
    for _ in range(3):
        traffic.send(200)
        with ThreadPoolExecutor(4) as pool:
            looks = list(pool.map(lambda _: look(platform, line, platform.clock()), range(4)))
        assert sum(each.events for each in looks if not each.busy) > 0
    look(platform, line, platform.clock())
    running = state(platform, line).rollout
    assert running is not None
    events = platform.events.scan(line.line, limit=100_000)
    first = next(each for each in events if each.fields.get("version") == 2 and each.fields["arm"] == "canary")
    answers = [each for each in events if each.fields["arm"] != "shadow" and came(each) >= seconds(first.received_at)]
    counted = sum(step.canary.requests + step.stable.requests for step in running.steps)
    assert counted == len(answers)
    assert state(platform, line).cursor == platform.events.last(line.line)


def test_a_green_version_switches_when_every_gateway_has_it(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="blue_green")
    loading = ServedVersion(version=2, servable="a" * 64, state="loading")
    for name in ("one:1", "two:2"):
        platform.watch.beat(Beat(gateway=name, at=platform.clock().isoformat(), lines={line.line: (loading,)}))
    deploy(platform, line, 2, actor="ann", reason="a try")
    look(platform, line, platform.clock())
    running = state(platform, line).rollout
    assert running is not None
    assert (running.strategy, running.share) == ("blue_green", 0)
    ready = loading.model_copy(update={"state": "ready"})
    for name in ("one:1", "two:2"):
        platform.watch.beat(Beat(gateway=name, at=platform.clock().isoformat(), lines={line.line: (ready,)}))
    look(platform, line, platform.clock())
    assert shares(platform, line)["production"] == (2, 1.0)
    last = state(platform, line).last
    assert last is None or last.ended == "promoted"


def test_gateways_of_other_lines_neither_delay_the_judge_nor_count_as_silent(tmp_path: Path) -> None:
    platform, line, traffic = canary_of(tmp_path)
    traffic.harm[2] = Harm(errors=0.9)
    traffic.send(200)
    ready = tuple(ServedVersion(version=number, servable="a" * 64, state="ready") for number in (1, 2))
    now = platform.clock()
    for name, of, at in (
        ("web:1", line.line, now),
        ("other:1", "others", now),
        ("gone:1", "others", now - timedelta(minutes=1)),
    ):
        platform.watch.beat(Beat(gateway=name, at=at.isoformat(), lines={of: ready}))
    assert [each.connection_score for each in healths(platform, line, now)] == [1.0, 1.0]
    assert any("took version 2 back" in did for did in look(platform, line, now).did)


def test_a_version_that_fails_after_its_release_goes_back(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="replace")
    deploy(platform, line, 2, actor="ann", reason="next")
    traffic = Traffic(platform, line, {2: Harm(errors=0.7)})
    traffic.send(100)
    (did,) = look(platform, line, platform.clock()).did
    assert "Version 1 serves again" in did
    assert shares(platform, line)["production"] == (1, 1.0)
    traffic.harm[1] = Harm(errors=0.9)
    traffic.send(100)
    (did,) = look(platform, line, platform.clock()).did
    assert "no way back" in did
    assert look(platform, line, platform.clock()).did == (), "it is said once"
    assert [e.body["version"] for e in platform.ledger.entries(line.line, "alarmed")] == [2, 1]
    assert len(told(platform, "fails")) == 2


def test_production_that_fails_after_a_rollout_was_taken_back_goes_back_too(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="canary")
    deploy(platform, line, 2, strategy="replace", actor="ann", reason="next")
    deploy(platform, line, 3, actor="ann", reason="a try")
    rollback(platform, line, to=None, reason="it hurts", actor="judge")
    Traffic(platform, line, {2: Harm(errors=0.7)}).send(100)
    (did,) = look(platform, line, platform.clock()).did
    assert "Version 1 serves again" in did


@pytest.mark.parametrize(("limit", "serves"), [(0.5, 2), (0.2, 1)])
def test_how_many_errors_are_failing_is_the_lines_to_say(tmp_path: Path, limit: float, serves: int) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="replace", auto_rollback_error_rate=limit)
    deploy(platform, line, 2, actor="ann", reason="next")
    Traffic(platform, line, {2: Harm(errors=0.3)}).send(100)
    look(platform, line, platform.clock())
    assert shares(platform, line)["production"] == (serves, 1.0)


def test_auto_rollback_can_be_switched_off(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="replace", enable_auto_rollback=False)
    deploy(platform, line, 2, actor="ann", reason="next")
    Traffic(platform, line, {2: Harm(errors=0.7)}).send(100)
    (did,) = look(platform, line, platform.clock()).did
    assert "enable_auto_rollback is off" in did
    assert shares(platform, line)["production"] == (2, 1.0)


def test_health_is_sampled_told_once_and_forgotten(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path)
    traffic = Traffic(platform, line, {1: Harm(factor=100.0)})
    traffic.send(200)
    now = platform.clock()
    looked = look(platform, line, now)
    (sample,) = looked.samples
    assert (sample.status, sample.score) == ("UNHEALTHY", 0.8), "the score cannot see latency, the signals can"
    assert [each.name for each in sample.signals if each.passed is False] == ["latency_p95", "latency_p99"]
    assert look(platform, line, now + timedelta(seconds=30)).samples == ()
    look(platform, line, now + timedelta(seconds=61))
    assert len(platform.watch.history(line.line, now - timedelta(hours=1))) == 2
    assert len(told(platform, "is UNHEALTHY")) == 1
    assert forget(platform, now + timedelta(days=29)) == 0
    assert forget(platform, now + timedelta(days=31)) == 2


@dataclass
class Interrupted:
    """Leases; just before the first one is given out, somebody else is quicker."""

    leases: Leases
    act: Callable[[], object]
    done: bool = False

    def hold(self, name: str, *, holder: str, wait_seconds: float) -> AbstractContextManager[None]:
        if not self.done:
            self.done = True
            self.act()
        return self.leases.hold(name, holder=holder, wait_seconds=wait_seconds)

    def holder(self, name: str) -> str | None:
        return self.leases.holder(name)


def test_a_verdict_never_acts_on_a_rollout_that_began_after_it(tmp_path: Path) -> None:
    """The line moves after the watch saw that it stands, and before the watch takes the version back."""
    platform, line, traffic = canary_of(tmp_path, step_requests=100_000)
    traffic.harm[2] = Harm(errors=0.5)
    traffic.send(600)

    def quicker() -> None:
        rollback(platform, line, to=None, reason="enough", actor="ann")
        deploy(platform, line, 3, actor="ann", reason="a better one")

    slower = replace(platform, leases=Interrupted(platform.leases, quicker))
    assert look(slower, line, platform.clock()).did == ()
    pointer = platform.versions.pointer(line.line)
    assert pointer.rollout is not None
    assert (pointer.rollout.version, pointer.rollout.held) == (3, "")
    assert [entry.actor for entry in platform.ledger.entries(line.line)][-2:] == ["ann", "ann"]
    assert told(platform, "was taken back") == []
    assert told(platform, "cannot be done") == []
    traffic.send(200)
    assert look(platform, line, platform.clock()).did == (), "the new one is judged by what it did"


def test_a_version_that_failed_before_is_judged_by_what_it_does_now(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, **QUICK, step_requests=100_000)
    deploy(platform, line, 2, strategy="replace", actor="ann", reason="next")
    traffic = Traffic(platform, line, {2: Harm(errors=0.9)})
    traffic.send(100)
    look(platform, line, platform.clock())
    assert shares(platform, line)["production"] == (1, 1.0), "it was taken back"
    traffic.harm.clear()
    deploy(platform, line, 2, actor="ann", reason="what it needs is there again")
    traffic.send(200)
    assert look(platform, line, platform.clock()).did == ()
    assert kinds(platform, line)[-1] == "deployed"
