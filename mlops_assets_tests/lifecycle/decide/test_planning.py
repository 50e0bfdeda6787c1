from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.policy import Analyst, Inquiry, Policy, TradeOff
from mlops_assets.core.records.decision import Evidence
from mlops_assets.core.records.purchases import Purchase, SeedGain, SliceReport, Tool, TrainingNoise
from mlops_assets.lifecycle.decide.planning import next_purchase, spent
from mlops_assets.lifecycle.decide.rules import verdict
from mlops_assets_tests.lifecycle.decide.evidences import POLICY, comparison, evidence, set_result, with_comparison

SEALED = "f" * 64
RICH = Inquiry(budget=100)
OTHER = ({"learning_rate": 0.1}, {"learning_rate": 0.01})


def under(policy: Policy, **changes: Any) -> Evidence:
    return evidence(policy, **changes)


def policy_with(**changes: Any) -> Policy:
    return POLICY.model_copy(update={"inquiry": RICH, **changes})


def plan(found: Evidence, policy: Policy) -> Tool | None:
    return next_purchase(verdict(found, policy), found, policy)


def sealed(policy: Policy, **changes: Any) -> Evidence:
    """Evidence on a line with a sealed set that nobody opened."""
    sets = (set_result(gain_alpha=policy.alpha), set_result("human", "critical"))
    return under(policy, **{"sealed": SEALED, "sets": sets} | changes)


def opened(found: Evidence, policy: Policy, **changes: Any) -> Evidence:
    alpha = policy.gain_alpha("sealed", sealed=True)
    seen = set_result("sealed", "sealed", dataset=SEALED, gain_alpha=alpha)
    rows = (*found.comparisons, comparison("sealed", **changes))
    return found.model_copy(update={"sets": (*found.sets, seen), "comparisons": rows, "openings": 1})


def unclear(found: Evidence) -> Evidence:
    return with_comparison(found, 0, delta=0.01, lower=-0.01, gain_lower=-0.02, upper=0.03)


def noisy(found: Evidence, seeds: int, lower: float = 0.01) -> Evidence:
    gains = tuple(SeedGain(seed=at, servable="c" * 64, delta=0.04) for at in range(seeds))
    noise = TrainingNoise(set_name="golden", metric="wer", seeds=gains, mean=0.04, deviation=0.01, lower=lower)
    return found.model_copy(update={"noise": noise})


def paid(found: Evidence, *tools: Tool, **changes: Any) -> Evidence:
    values = {"cost": 1, "why": "x", "gave": SEALED, "candidate": found.candidate} | changes
    return found.model_copy(
        update={"purchases": (*found.purchases, *(Purchase.model_validate({"tool": tool, **values}) for tool in tools))}
    )


def test_a_clear_case_buys_nothing() -> None:
    policy = policy_with()
    assert plan(under(policy), policy) is None
    assert plan(under(policy, infra_ok=False), policy) is None
    worse = with_comparison(under(policy), 0, delta=-0.08, lower=-0.1, gain_lower=-0.1, upper=-0.06)
    assert verdict(worse, policy).verdict == "REJECT"
    assert plan(worse, policy) is None


@pytest.mark.parametrize("changes", [{"production": None, "production_version": None, "systems": {}}, {"kept": 15}])
def test_what_no_purchase_can_settle_is_a_persons_matter(changes: dict[str, Any]) -> None:
    policy = policy_with(retrain_with=OTHER)
    assert plan(sealed(policy, **changes), policy) is None
    assert plan(unclear(sealed(policy, **changes)), policy) is None


def test_the_sealed_set_is_opened_for_what_would_be_promoted_otherwise() -> None:
    policy = policy_with()
    found = sealed(policy)
    assert verdict(found, policy).verdict == "HUMAN_REVIEW"
    assert plan(found, policy) == "sealed_set"
    assert plan(unclear(found), policy) != "sealed_set"
    confirmed = opened(found, policy)
    assert (verdict(confirmed, policy).verdict, plan(confirmed, policy)) == ("APPROVE", None)
    doubtful = opened(found, policy, gain_lower=-0.01, lower=-0.001)
    assert (verdict(doubtful, policy).verdict, plan(doubtful, policy)) == ("HUMAN_REVIEW", None)
    lost = opened(found, policy, delta=-0.05, lower=-0.08, gain_lower=-0.09, upper=-0.02)
    assert verdict(lost, policy).verdict == "REJECT"


def test_a_sealed_set_that_is_worn_out_is_not_opened() -> None:
    policy = policy_with(openings_budget=3)
    assert plan(sealed(policy, openings=2), policy) == "sealed_set"
    assert plan(sealed(policy, openings=3), policy) is None


def test_seeds_come_before_the_sealed_set() -> None:
    policy = policy_with(min_seeds=3)
    found = sealed(policy)
    assert plan(found, policy) == "seeds"
    assert plan(noisy(found, 2), policy) == "seeds"
    assert plan(noisy(found, 3), policy) == "sealed_set"
    assert plan(noisy(found, 3, lower=-0.01), policy) is None


def test_nothing_is_bought_that_the_rest_of_the_budget_cannot_complete() -> None:
    policy = policy_with(min_seeds=3, inquiry=Inquiry(budget=4.5))
    assert plan(sealed(policy), policy) is None
    assert plan(under(policy), policy) == "seeds"


def test_unclear_gains_are_looked_into_then_trained_for() -> None:
    policy = policy_with(retrain_with=OTHER)
    found = unclear(under(policy))
    assert plan(found, policy) == "slice_report"
    looked = found.model_copy(update={"slices": SliceReport(scan=(), clusters=())})
    assert plan(looked, policy) == "retrain"
    assert plan(looked.model_copy(update={"attempt": 1}), policy) == "retrain"
    assert plan(looked.model_copy(update={"attempt": 2}), policy) is None
    assert plan(looked.model_copy(update={"looks": policy.looks_budget}), policy) is None
    assert plan(looked, policy_with()) is None


def test_a_slice_report_leaves_what_a_training_needs() -> None:
    policy = policy_with(retrain_with=OTHER, inquiry=Inquiry(budget=4))
    assert plan(unclear(under(policy)), policy) == "retrain"
    none = policy_with(inquiry=Inquiry(budget=4))
    assert plan(unclear(under(none)), none) == "slice_report"


@pytest.mark.parametrize("tool", ["sealed_set", "slice_report", "retrain", "seeds"])
def test_what_was_paid_for_and_not_yet_used_is_free(tool: Tool) -> None:
    policy = policy_with(
        retrain_with=OTHER, inquiry=Inquiry(budget=1, slice_report=1, retrain=1, seeds=1, sealed_set=1)
    )
    if tool == "seeds":
        policy = policy.model_copy(update={"min_seeds": 2})
    found = under(policy) if tool == "seeds" else sealed(policy) if tool == "sealed_set" else unclear(under(policy))
    if tool == "retrain":
        found = found.model_copy(update={"slices": SliceReport(scan=(), clusters=())})
    assert plan(paid(found, tool), policy) == tool
    assert plan(paid(found, tool, candidate="e" * 64), policy) is None


def test_a_trade_off_the_analyst_may_settle_opens_the_sealed_set_first() -> None:
    trade = TradeOff(metric="f1_class_maduro", gain=0.005, loss=0.05)
    policy = policy_with(analyst=Analyst(model="openai:x"), analyst_may_approve_within=(trade,), retrain_with=OTHER)
    found = unclear(sealed(policy))
    gained = found.model_copy(update={"comparisons": (*found.comparisons, comparison(metric=trade.metric))})
    assert plan(found, policy) == "slice_report"
    assert plan(gained, policy) == "sealed_set"
    shown = opened(gained, policy, delta=0.0, lower=-0.01, gain_lower=-0.02, upper=0.01)
    rows = (*shown.comparisons, comparison("sealed", metric=trade.metric))
    assert plan(shown.model_copy(update={"comparisons": rows}), policy) is None


@given(
    budget=st.floats(0, 20),
    costs=st.tuples(*[st.floats(0.1, 6)] * 4),
    seeds=st.integers(1, 4),
    gains=st.lists(st.booleans(), min_size=4, max_size=4),
    has_sealed=st.booleans(),
)
def test_any_course_of_purchases_ends_within_the_budget(
    budget: float, costs: tuple[float, ...], seeds: int, gains: list[bool], has_sealed: bool
) -> None:
    names = ("sealed_set", "slice_report", "seeds", "retrain")
    inquiry = Inquiry.model_validate({"budget": budget, **dict(zip(names, costs, strict=True))})
    policy = policy_with(inquiry=inquiry, min_seeds=seeds, retrain_with=(*OTHER, {"learning_rate": 1.0}))
    first = sealed(policy) if has_sealed else under(policy)

    def attempt(number: int, before: Evidence) -> Evidence:
        kept = {"attempt": number, "candidate": f"{number:064x}", "looks": number + 1, "purchases": before.purchases}
        found = first.model_copy(update=kept)
        return found if gains[number] else unclear(found)

    found, steps = attempt(0, first), 0
    while (tool := plan(found, policy)) is not None:
        found, steps = paid(found, tool, cost=getattr(inquiry, tool)), steps + 1
        assert spent(found) <= budget
        assert steps < 30
        match tool:
            case "sealed_set":
                found = opened(found, policy)
            case "slice_report":
                found = found.model_copy(update={"slices": SliceReport(scan=(), clusters=())})
            case "seeds":
                found = noisy(found, (len(found.noise.seeds) if found.noise else 1) + 1)
            case "retrain":
                found = attempt(found.attempt + 1, found)


def test_a_person_who_confirms_every_release_sees_what_the_sealed_set_says() -> None:
    policy = policy_with(auto_deploy=False)
    assert plan(sealed(policy), policy) == "sealed_set"
    seen = opened(sealed(policy), policy)
    assert plan(seen, policy) is None
    assert verdict(seen, policy).verdict == "HUMAN_REVIEW"
