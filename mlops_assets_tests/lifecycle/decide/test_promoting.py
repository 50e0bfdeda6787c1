"""What a candidate that is not worse still needs, before it is promoted without a person."""

from typing import Any

import pytest

from mlops_assets.core.policy import DataGates, Gates
from mlops_assets.core.records.decision import Evidence
from mlops_assets.core.records.purchases import SliceReport, TrainingNoise
from mlops_assets.lifecycle.decide.rules import verdict
from mlops_assets_tests.lifecycle.decide.evidences import (
    POLICY,
    comparison,
    contributor,
    evidence,
    noise,
    scanned,
    set_result,
    with_comparison,
)


def test_business_metric_may_justify_a_primary_that_is_not_worse() -> None:
    level = with_comparison(evidence(), 0, delta=0.0, lower=-0.001, gain_lower=-0.002, upper=0.001)

    def gaining(**changes: Any) -> Evidence:
        return level.model_copy(update={"comparisons": (*level.comparisons, comparison(metric="cer", **changes))})

    gained = gaining()
    assert verdict(level, POLICY).verdict == "HUMAN_REVIEW"
    assert verdict(gained, POLICY).verdict == "APPROVE"
    assert verdict(gaining(gain_lower=-0.001), POLICY).verdict == "HUMAN_REVIEW"
    assert verdict(gaining(delta=0.0019), POLICY).verdict == "HUMAN_REVIEW"
    worse = with_comparison(gained, 0, delta=0.0, lower=-0.004, upper=0.001)
    assert verdict(worse, POLICY).verdict == "HUMAN_REVIEW"


def test_least_gain_and_significance_are_the_policys() -> None:
    demanding = POLICY.model_copy(update={"gates": Gates(min_wer_improvement=0.03)})
    assert verdict(evidence(demanding), demanding).verdict == "HUMAN_REVIEW"
    lenient = POLICY.model_copy(update={"gates": Gates(require_significance=False)})
    hint = with_comparison(evidence(lenient), 0, delta=0.01, lower=-0.002, gain_lower=-0.02, upper=0.03, error=0.008)
    assert verdict(hint, lenient).verdict == "APPROVE"
    assert verdict(with_comparison(hint, 0, lower=-0.004), lenient).verdict == "HUMAN_REVIEW"


def test_a_policy_may_ask_a_person_for_every_release() -> None:
    careful = POLICY.model_copy(update={"auto_deploy": False})
    ruling = verdict(evidence(careful), careful)
    assert ruling.verdict == "HUMAN_REVIEW"
    assert any("auto_deploy" in reason for reason in ruling.reasons)


def test_a_person_confirms_what_was_learned_from_events_unless_the_policy_says_otherwise() -> None:
    collected = verdict(evidence(source="events"), POLICY)
    assert collected.verdict == "HUMAN_REVIEW"
    assert any("auto_approve_finetuning" in reason for reason in collected.reasons)
    trusting = POLICY.model_copy(update={"auto_approve_finetuning": True})
    assert verdict(evidence(trusting, source="events"), trusting).verdict == "APPROVE"
    careful = trusting.model_copy(update={"auto_deploy": False})
    assert verdict(evidence(careful, source="events"), careful).verdict == "HUMAN_REVIEW"


def sealed(**changes: Any) -> Evidence:
    """A clear gain on a line with a sealed set, which confirms it."""
    alpha = POLICY.gain_alpha("sealed", sealed=True)
    values = {
        "sealed": "f" * 64,
        "openings": 1,
        "sets": (
            set_result(gain_alpha=POLICY.alpha),
            set_result("human", "critical"),
            set_result("sealed", "sealed", dataset="f" * 64, gain_alpha=alpha),
        ),
    }
    found = evidence(**(values | changes))
    return found.model_copy(update={"comparisons": (*found.comparisons, comparison("sealed"))})


@pytest.mark.parametrize(
    ("changes", "verdict_then", "word"),
    [
        ({}, "APPROVE", "accuracy"),
        ({"sets": (set_result(gain_alpha=0.05), set_result("human", "critical"))}, "HUMAN_REVIEW", "was not opened"),
        ({"sealed": "0" * 64}, "HUMAN_REVIEW", "was not opened"),
        ({"sealed": None}, "HUMAN_REVIEW", "and one look may spend"),
        ({"openings": 6}, "HUMAN_REVIEW", "opened 6 times"),
        ({"openings": 0}, "HUMAN_REVIEW", "opened 0 times"),
    ],
)
def test_a_line_with_a_sealed_set_needs_its_word(changes: dict[str, Any], verdict_then: str, word: str) -> None:
    ruling = verdict(sealed(**changes), POLICY)
    assert ruling.verdict == verdict_then
    assert verdict_then == "APPROVE" or word in " ".join(ruling.reasons)


@pytest.mark.parametrize(
    ("changes", "verdict_then"),
    [
        ({"gain_lower": None}, "HUMAN_REVIEW"),
        ({"gain_lower": 0.0}, "HUMAN_REVIEW"),
        ({"delta": 0.002}, "HUMAN_REVIEW"),
        ({"upper": -0.01, "lower": -0.06, "delta": -0.03, "gain_lower": -0.08}, "REJECT"),
    ],
)
def test_what_the_sealed_set_does_not_confirm_is_not_approved(changes: dict[str, Any], verdict_then: str) -> None:
    assert verdict(with_comparison(sealed(), 3, **changes), POLICY).verdict == verdict_then


def test_a_sealed_set_too_small_to_judge_by_asks_a_person() -> None:
    found = sealed()
    small = found.sets[2].model_copy(update={"n": 10})
    found = found.model_copy(update={"sets": (*found.sets[:2], small)})
    lost = with_comparison(found, 3, upper=-0.01, lower=-0.06, delta=-0.03, gain_lower=-0.08)
    assert verdict(found, POLICY).verdict == verdict(lost, POLICY).verdict == "HUMAN_REVIEW"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"gain_lower": 0.0}, "at the error one look may spend"),
        ({"gain_lower": None}, "was not measured"),
        ({"error": 0.05}, "worth a look"),
        ({"delta": 0.002, "error": 0.001}, "worth a look"),
    ],
)
def test_a_gain_has_to_be_real_at_its_looks_error_and_a_step_of_the_ladder(changes: dict[str, Any], word: str) -> None:
    ruling = verdict(with_comparison(evidence(), 0, **changes), POLICY)
    assert ruling.verdict == "HUMAN_REVIEW"
    assert word in " ".join(ruling.reasons)


def test_a_bound_at_a_larger_error_than_a_look_may_spend_counts_for_nothing() -> None:
    found = evidence()
    for spent in (0.05, None):
        seen = found.sets[0].model_copy(update={"gain_alpha": spent})
        assert verdict(found.model_copy(update={"sets": (seen, *found.sets[1:])}), POLICY).verdict == "HUMAN_REVIEW"
    thrifty = POLICY.model_copy(update={"looks_budget": 40})
    assert verdict(found, thrifty).verdict == "HUMAN_REVIEW"


def test_a_slice_that_is_surely_harmed_asks_a_person_protected_or_not() -> None:
    harmless, harmful = scanned("accent:us", harmed=False), scanned("noise:high", harmed=True)
    assert verdict(evidence(scan=(harmless,)), POLICY).verdict == "APPROVE"
    for found in (
        evidence(scan=(harmless, harmful)),
        evidence(scan=(harmless,), slices=SliceReport(scan=(harmful,), clusters=())),
    ):
        ruling = verdict(found, POLICY)
        assert ruling.verdict == "HUMAN_REVIEW"
        assert "noise:high of golden is 0.1000 worse" in " ".join(ruling.reasons)


@pytest.mark.parametrize(
    ("found", "word"),
    [(None, "1 seeds"), (noise(2, 0.02), "2 seeds"), (noise(3, -0.01), "-0.0100"), (noise(3, None), "not measured")],
)
def test_a_gain_that_may_be_a_seeds_luck_asks_a_person(found: TrainingNoise | None, word: str) -> None:
    policy = POLICY.model_copy(update={"min_seeds": 3})
    ruling = verdict(evidence(policy, noise=found), policy)
    assert ruling.verdict == "HUMAN_REVIEW"
    assert word in " ".join(ruling.reasons)
    assert verdict(evidence(policy, noise=noise(3, 0.01)), policy).verdict == "APPROVE"


def test_a_batch_of_one_contributor_or_of_a_strange_one_asks_a_person() -> None:
    capped = POLICY.model_copy(update={"data": DataGates(max_contributor_share=0.5)})
    even = (contributor("ann", 0.5), contributor("bob", 0.5))
    assert verdict(evidence(capped, contributors=even), capped).verdict == "APPROVE"
    for people, word in (
        ((), "not measured"),
        ((contributor("ann", 0.6), contributor("bob", 0.4)), "ann has 60.0%"),
        ((contributor("ann", 0.5), contributor("bob", 0.5, outlier=True)), "50 items of bob"),
    ):
        ruling = verdict(evidence(capped, contributors=people), capped)
        assert ruling.verdict == "HUMAN_REVIEW"
        assert word in " ".join(ruling.reasons)


def test_a_policy_may_leave_a_lost_critical_suite_to_a_person() -> None:
    asking = POLICY.model_copy(update={"gates": Gates(fail_on_critical_degradation=False)})
    lost = with_comparison(evidence(asking), 2, candidate=0.3, delta=-0.08, lower=-0.1, upper=-0.06)
    assert verdict(lost, POLICY).verdict == "REJECT"
    ruling = verdict(lost, asking)
    assert ruling.verdict == "HUMAN_REVIEW"
    assert "0.2200 to 0.3000" in " ".join(ruling.reasons)
