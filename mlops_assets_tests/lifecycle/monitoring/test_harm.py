"""What takes a version back that is being rolled out, what does not, and what is no part of the comparison."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mlops_assets.core.events import Prediction, new_event_id
from mlops_assets.core.line import Monitoring, Release
from mlops_assets.lifecycle.deployment.rollout import deploy, promote
from mlops_assets.lifecycle.monitoring.expecting import expected
from mlops_assets.lifecycle.monitoring.watching import healths, look, state
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit
from mlops_assets_tests.lifecycle.monitoring.rolling import QUICK, canary_of, kinds
from mlops_assets_tests.lifecycle.released import shares
from mlops_assets_tests.lifecycle.traffic import Harm, Ticking, Traffic, correction, rating


@pytest.mark.parametrize(
    ("harm", "signal", "most"),
    [
        (Harm(errors=0.1), "errors", 200),
        (Harm(factor=3.0), "p95", 500),
        (Harm(factor=10.0, slow=0.05), "answers slower than production's p99", 500),
        (Harm(label="music"), "mix of labels", 1_000),
    ],
    ids=["errors", "all slower", "some far slower", "a constant class"],
)
def test_harm_of_one_kind_alone_is_taken_back(tmp_path: Path, harm: Harm, signal: str, most: int) -> None:
    platform, line, traffic = canary_of(tmp_path, step_requests=100_000)
    traffic.harm[2] = harm
    looked, _ = traffic.until({"rolled_back"})
    assert looked.state.rollout is not None
    assert looked.state.rollout.steps[0].canary.requests <= most
    entry = platform.ledger.entries(line.line, newest=1)[-1]
    assert signal in str(entry.body["reason"])
    assert shares(platform, line)["production"] == (1, 1.0)
    assert all(share == 0 for _, (version, share) in shares(platform, line).items() if version == 2)
    (sample,) = [each for each in healths(platform, line, platform.clock()) if each.version == 1]
    assert sample.status == "HEALTHY"
    look(platform, line, platform.clock())
    assert kinds(platform, line)[-1] == "rolled_back", "nothing more is done"


def test_the_health_score_does_not_see_what_the_judge_sees(tmp_path: Path) -> None:
    """F23: the score of a version with one class is 1.0 when it is taken back."""
    platform, line, traffic = canary_of(tmp_path)
    traffic.harm[2] = Harm(label="music")
    line = line.model_copy(update={"monitoring": Monitoring(health_check_interval_seconds=0.001)})
    traffic.line = line
    looked, _ = traffic.until({"rolled_back"})
    assert looked.state.rollout is not None
    scores = [
        each.score
        for each in platform.watch.history(line.line, platform.clock() - timedelta(hours=1))
        if each.version == 2
    ]
    assert scores[-1] == 1.0


def test_copies_that_are_answered_differently_take_a_version_back(tmp_path: Path) -> None:
    """Held against what the evaluation of the very two versions showed; without one nothing is expected of them."""
    clock = Ticking()
    platform, line = open_light_line(tmp_path, clock)
    release = Release.model_validate({**QUICK, "shadow_percentage": 0.5})
    line = line.model_copy(update={"release": release})
    platform = replace(platform, lines=lambda: [line])
    run(platform, line, submit(platform, line, "good"))
    traffic = Traffic(platform, line, wrong=0.9, clock=clock)
    looked, _ = traffic.until({"rolled_back"})
    assert "copies answered differently" in looked.did[0]
    assert looked.state.rollout is not None
    assert looked.state.rollout.steps[0].canary.requests <= 1_000


def test_a_version_known_to_be_worse_is_not_excused_by_the_evaluation_that_says_so(tmp_path: Path) -> None:
    """What a better version is for, a worse one is taken back for: the same answers, the other way round."""
    clock = Ticking()
    platform, line = open_light_line(tmp_path, clock)
    release = Release.model_validate({**QUICK, "shadow_percentage": 0.5, "step_requests": 100_000})
    line = line.model_copy(update={"release": release})
    platform = replace(platform, lines=lambda: [line])
    run(platform, line, submit(platform, line, "good"))
    known = expected(platform, line, 2, 1)
    assert known.disagreement is not None
    assert known.disagreement > 0.3
    traffic = Traffic(platform, line, wrong=known.disagreement, clock=clock)
    for _ in range(4):
        traffic.send(200)
        assert look(platform, line, platform.clock()).did == ()
    promote(platform, line, actor="ann", reason="as good as it was judged")
    look(platform, line, platform.clock())
    deploy(platform, line, 1, actor="ann", reason="the old one again")
    looked, _ = traffic.until({"rolled_back"})
    assert "copies answered differently" in looked.did[0]


def test_without_an_evaluation_nothing_is_expected_of_copies(tmp_path: Path) -> None:
    platform, line, traffic = canary_of(tmp_path, step_requests=100_000)
    traffic.wrong = 0.9
    traffic.send(500)
    look(platform, line, platform.clock())
    assert kinds(platform, line)[-1] == "deployed"


def test_corrections_of_the_new_version_alone_take_it_back(tmp_path: Path) -> None:
    platform, line, traffic = canary_of(tmp_path, step_requests=100_000)
    ids = traffic.send(600)
    found = platform.events.find(line.line, ids)
    mine = [name for name in ids if getattr(found[name].event, "version", 0) == 2]
    look(platform, line, platform.clock())
    platform.events.append(line.line, [correction(mine[0]), rating(mine[1], 5)])
    look(platform, line, platform.clock())
    assert kinds(platform, line)[-1] == "deployed", "one correction is no evidence, and praise is none"
    platform.events.append(line.line, [correction(each) for each in mine[2:6]])
    platform.events.append(line.line, [rating(each, 1) for each in mine[6:20]])
    looked = look(platform, line, platform.clock())
    assert "corrections and bad ratings" in looked.did[0]
    assert kinds(platform, line)[-1] == "rolled_back"


def test_traffic_that_is_not_split_as_it_should_be_holds(tmp_path: Path) -> None:
    platform, line, traffic = canary_of(tmp_path)
    traffic.share = 0.5
    looked, _ = traffic.until({"held"})
    assert "the split of traffic is broken" in looked.did[0].lower()
    assert kinds(platform, line)[-1] == "held"


def test_what_production_answers_for_a_canary_that_failed_is_no_part_of_the_comparison(tmp_path: Path) -> None:
    """Else it would be asked more than its share, and be blamed for the time that the other took."""
    platform, line, traffic = canary_of(tmp_path, step_requests=100_000)
    ids = traffic.send(400)
    look(platform, line, platform.clock())
    before, (healthy, _) = state(platform, line).rollout, healths(platform, line, platform.clock())
    again = [
        Prediction(event_id=new_event_id(), version=1, arm="production", latency_ms=9_000, success=True, of=each)
        for each in ids[:100]
    ]
    platform.events.append(line.line, again)
    look(platform, line, platform.clock())
    after, (health, _) = state(platform, line).rollout, healths(platform, line, platform.clock())
    assert before is not None
    assert after is not None
    assert after.steps == before.steps
    assert health.requests == healthy.requests + 100
    assert health.latency_p99_ms == healthy.latency_p99_ms
