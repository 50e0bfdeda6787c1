"""The judge of a rollout as a pure function of what was seen."""

import random
import re
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.core import canary
from mlops_assets.core.canary import ALPHA, Expected, Seen, Trial, observe
from mlops_assets.core.latencies import bin_of
from mlops_assets.core.line import Release
from mlops_assets.core.rollout_verdict import judge

POLICY = Release(deployment_strategy="canary", step_minutes=0, min_minutes=0)
SEEN = st.lists(
    st.builds(
        Seen,
        canary=st.booleans(),
        who=st.sampled_from([f"user{each}" for each in range(30)]),
        failed=st.booleans(),
        latency_ms=st.floats(0, 1e5),
        label=st.none() | st.sampled_from(["a", "b", "c"]),
        moment=st.sampled_from(["", "1", "2"]),
        cold=st.booleans(),
    ),
    max_size=120,
)


def begun(share: float = 0.1, before: float = 20.0) -> Trial:
    known = Expected(disagreement=0.05, labels={"a": 0.0, "b": 0.0, "c": 0.0})
    return canary.step(canary.begin(known, 0.15, {bin_of(before): 1_000.0}), share)


def answers(
    n: int, *, errors: float = 0.01, factor: float = 1.0, label: str = "", seed: int = 1, share: float = 0.1
) -> list[Seen]:
    """Return requests of a different user each; what is named is wrong with the new version alone."""
    chance = random.Random(seed)
    found = []
    for each in range(n):
        new = chance.random() < share
        failed = chance.random() < (errors if new else 0.01)
        latency = chance.lognormvariate(3, 0.4) * (factor if new else 1)
        said = (label if new else "") or chance.choice("abc")
        found.append(Seen(new, f"{seed}-{each}", failed, latency, None if failed else said))
    return found


def verdict(trial: Trial, minutes: float = 60) -> str:
    return judge(trial, POLICY, minutes=minutes, step_minutes=minutes).verdict


@settings(max_examples=30, deadline=None)
@given(SEEN, st.integers(0, 120))
def test_a_trial_is_the_same_in_any_pieces_and_through_json(seen: list[Seen], cut: int) -> None:
    at_once = observe(begun(), seen)
    first = Trial.parse(observe(begun(), seen[:cut]).canonical_json())
    in_two = observe(first, seen[cut:])
    assert in_two.steps == at_once.steps
    assert in_two.thresholds == at_once.thresholds
    assert in_two.slow == at_once.slow
    for signal in ALPHA:
        assert canary.log10_e(in_two, signal) == pytest.approx(canary.log10_e(at_once, signal), abs=1e-9)
    assert Trial.parse(at_once.canonical_json()) == at_once


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 200), st.integers(0, 60))
def test_more_errors_of_the_new_version_are_never_less_evidence(failed: int, stable: int, more: int) -> None:
    def trial(bad: int) -> Trial:
        ours = [Seen(True, f"n{each}", each < bad, 10.0) for each in range(130)]
        theirs = [Seen(False, f"o{each}", each % 7 == 0, 10.0) for each in range(stable)]
        return observe(begun(), ours + theirs)

    assert canary.log10_e(trial(failed + more), "errors") >= canary.log10_e(trial(failed), "errors") - 1e-9


@pytest.mark.parametrize(
    ("harm", "signal"),
    [
        ({"errors": 0.1}, "errors"),
        ({"factor": 3.0}, "latency_p95"),
        ({"factor": 3.0}, "latency_p99"),
        ({"label": "a"}, "class_mix"),
    ],
)
def test_each_kind_of_harm_has_a_signal_that_sees_it(harm: dict[str, float], signal: canary.Signal) -> None:
    trial = observe(begun(), answers(6_000, **harm))  # type: ignore[arg-type]
    assert canary.log10_e(trial, signal, peak=True) >= canary.log10_limit(signal)
    judged = judge(trial, POLICY, minutes=60, step_minutes=60)
    assert judged.verdict == "ROLL_BACK"
    assert any("evidence" in reason for reason in judged.reasons)


def test_harm_is_remembered_though_the_evidence_fades() -> None:
    trial = observe(begun(), answers(3_000, errors=0.2))
    assert verdict(trial) == "ROLL_BACK"
    trial = observe(trial, answers(40_000, errors=0.0, seed=2))
    assert canary.log10_e(trial, "errors") < canary.log10_limit("errors")
    assert verdict(trial) == "ROLL_BACK"


def test_the_same_version_is_promoted_when_it_was_seen_enough() -> None:
    trial = observe(begun(), answers(3_000))
    assert judge(trial, POLICY, minutes=60, step_minutes=60).advance
    for share in POLICY.steps[1:]:
        trial = canary.step(trial, share)
        trial = observe(trial, answers(8_000, share=share, seed=int(100 * share)))
    assert trial.total("canary").requests > POLICY.min_requests
    judged = judge(trial, POLICY, minutes=60, step_minutes=60)
    assert judged.verdict == "PROMOTE"
    assert len(judged.reasons) == 3
    held = judge(trial, POLICY, minutes=60, step_minutes=60, hindrances=["production breaks a limit"])
    assert (held.verdict, held.reasons) == ("INCONCLUSIVE", ("production breaks a limit",))
    soon = judge(trial, POLICY.model_copy(update={"min_minutes": 90.0}), minutes=60, step_minutes=60)
    assert soon.reasons == ("60.0 of 90 minutes of all",)


def test_a_bound_does_not_take_a_good_hour_for_a_good_version() -> None:
    """Production had most of its requests in a bad hour, the canary in a good one: added up, it looks better."""
    bad = [Seen(each % 10 == 0, f"a{each}", each % 7 == 0, 10.0) for each in range(4_000)]
    good = [Seen(each % 2 == 0, f"b{each}", each % 100 < (4 if each % 2 == 0 else 2), 10.0) for each in range(6_000)]
    trial = observe(canary.step(observe(begun(), bad), 0.5), good)
    ours, theirs = trial.total("canary"), trial.total("stable")
    assert ours.errors / ours.requests < theirs.errors / theirs.requests
    most = canary.bounds(trial)["errors"].most
    assert most is not None
    assert most > 0.01, "in the good hour it had 4 % of errors, against 2 %"


def test_what_few_heavy_users_tell_is_said_in_independent_requests() -> None:
    def reason(users: int) -> str:
        seen = [
            each._replace(who=f"u{at % users}", failed=at % users % 5 == 0, canary=at % users % 2 == 0)
            for at, each in enumerate(answers(4_000))
        ]
        trial = observe(begun(share=0.5), seen)
        judged = judge(trial.model_copy(update={"steps": trial.steps * 3}), POLICY, minutes=60, step_minutes=60)
        return next(each for each in judged.reasons if each.startswith("errors: "))

    assert "what 4,000 independent requests tell" not in reason(40)
    assert int(re.findall(r"what ([\d,]+) ", reason(40))[0].replace(",", "")) < 200


def test_what_speaks_against_a_version_keeps_it_from_its_next_step() -> None:
    trial = begun()
    stream = answers(40_000, errors=0.03, seed=5)
    for at in range(0, len(stream), 50):
        trial = observe(trial, stream[at : at + 50])
        if canary.log10_e(trial, "errors") >= canary.LEANING:
            break
    judged = judge(trial, POLICY.model_copy(update={"step_requests": 1}), minutes=60, step_minutes=60)
    assert (judged.verdict, judged.advance) == ("INCONCLUSIVE", False)
    assert "speaks against it" in judged.reasons[0]


def test_copies_are_held_against_what_golden_showed() -> None:
    def after(different: float, n: int = 400) -> Trial:
        chance = random.Random(4)
        return canary.compared(begun(), [(f"u{each}", chance.random() >= different) for each in range(n)])

    assert canary.log10_e(after(0.05), "agreement", peak=True) < 0.1
    assert canary.log10_e(after(0.19), "agreement", peak=True) < canary.log10_limit("agreement")
    assert canary.log10_e(after(0.6), "agreement", peak=True) >= canary.log10_limit("agreement")
    unknown = canary.step(canary.begin(Expected(), 0.15, {}), 0.1)
    assert canary.compared(unknown, [("a", False)] * 10) == unknown


def test_complaints_are_held_against_the_share_of_users() -> None:
    fair = canary.corrected(begun(), [(f"u{each}", each % 10 == 0, 0.1) for each in range(100)])
    assert canary.log10_e(fair, "corrections") < 0.1
    unfair = canary.corrected(begun(), [(f"u{each}", each % 2 == 0, 0.1) for each in range(40)])
    assert canary.log10_e(unfair, "corrections") >= canary.log10_limit("corrections")


def test_a_split_that_is_none_is_called_broken() -> None:
    wrong: Sequence[Seen] = answers(1_000, share=0.2)
    judged = judge(observe(begun(0.1), wrong), POLICY, minutes=60, step_minutes=60)
    assert (judged.verdict, judged.broken, judged.advance) == ("INCONCLUSIVE", True, False)
    assert "should have had 10%" in judged.reasons[0]
    assert not judge(observe(begun(0.1), answers(20_000)), POLICY, minutes=60, step_minutes=60).broken


def test_thresholds_follow_the_stable_arm_and_never_its_rival() -> None:
    trial = observe(begun(before=20.0), answers(12_000, factor=50.0))
    assert trial.thresholds.p95 is not None
    assert 30 < 1e-3 * 1.02**trial.thresholds.p95 < 60
    slower = [each._replace(latency_ms=each.latency_ms * 10) for each in answers(12_000, seed=7)]
    assert canary.log10_e(observe(trial, slower), "latency_p95") < canary.log10_e(trial, "latency_p95")


def paused(every: int, long: int, *, seed: int = 3, seconds: int = 100, arm: bool = True) -> list[Seen]:
    """Return 20 answers a second of the canary, 180 of production; every few seconds one arm lets `long` ones wait."""
    chance = random.Random(seed)
    found = []
    for second in range(seconds):
        for at in range(200):
            new = at % 10 == 0
            found.append(
                Seen(new, f"{second}-{at}", False, chance.lognormvariate(3, 0.4), None, f"{second}.{at // 20}")
            )
        if second % every == 0:
            found += [Seen(arm, f"{second}+{each}", False, 900.0, None, f"{second}.9") for each in range(long)]
    return found


def looked_at(answers: Sequence[Seen], each: int = 200) -> Trial:
    """Return the trial after these, before which production was seen for long."""
    chance = random.Random(8)
    before = Counter(bin_of(chance.lognormvariate(3, 0.4)) for _ in range(3_000))
    trial = canary.step(canary.begin(Expected(), 0.15, before), 0.1)
    for at in range(0, len(answers), each):
        trial = observe(trial, answers[at : at + each])
    return trial


def test_a_pause_of_a_process_is_one_thing_that_happened_however_many_answers_wait_for_it() -> None:
    trial = looked_at(paused(every=50, long=15))
    assert trial.total("canary").over_p99 >= 30
    assert verdict(trial) != "ROLL_BACK"
    alone = looked_at([each._replace(moment="") for each in paused(every=50, long=15)])
    assert verdict(alone) == "ROLL_BACK", "as many slow answers that have nothing to do with each other do harm"


def test_hours_in_which_both_are_slow_hide_no_harm() -> None:
    """A busy machine makes answers of both arms slow together: that is no pause of one process."""
    busy = [
        each._replace(latency_ms=each.latency_ms * (9 if each.moment.endswith(".0") else 1)) for each in paused(999, 0)
    ]
    trial = looked_at(busy)
    assert trial.latency_p99.dependence < 1.5
    assert verdict(trial) != "ROLL_BACK"


def test_as_many_slow_answers_each_at_its_own_time_take_it_back() -> None:
    slow = paused(every=3, long=1)
    assert verdict(looked_at(slow)) == "ROLL_BACK"
    assert verdict(looked_at(paused(every=3, long=1, arm=False))) != "ROLL_BACK"


def test_no_single_moment_proves_that_a_version_is_slow() -> None:
    """All that it answered so far waited for one pause."""
    first = [Seen(True, f"u{each}", False, 900.0, None, "1.0") for each in range(40)]
    trial = observe(begun(), first)
    assert verdict(trial) == "INCONCLUSIVE"
    more = [each._replace(who=f"{at}{each.who}", moment=f"{at}.0") for at in range(2, 12) for each in first[:5]]
    assert verdict(observe(trial, more)) == "ROLL_BACK"


def test_a_process_that_has_just_begun_is_not_timed_in_either_arm_and_answers_for_its_errors() -> None:
    cold = [each._replace(cold=True, moment="") for each in answers(3_000, factor=10.0)]
    trial = observe(begun(), cold)
    assert (trial.total("canary").timed, trial.total("stable").timed) == (0, 0)
    assert verdict(trial) != "ROLL_BACK"
    assert trial.total("canary").requests > 200
    failing = [each._replace(cold=True) for each in answers(3_000, errors=0.2)]
    assert verdict(observe(begun(), failing)) == "ROLL_BACK"
