"""What a language model's reply can do to a verdict: lower it, explain it, and nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.adapters.chat_langchain import read
from mlops_assets.core.policy import Analyst, Margin, Policy, SliceMargin, TradeOff
from mlops_assets.core.records.decision import AnalystReply, Evidence, Verdict
from mlops_assets.lifecycle.decide.hearing import CAUTION, REASON_CHARACTERS
from mlops_assets.lifecycle.decide.rules import verdict
from mlops_assets.lifecycle.decide.ruling import Ruling
from mlops_assets_tests.lifecycle.decide.evidences import POLICY, comparison, evidence, set_result, with_comparison
from mlops_assets_tests.lifecycle.decide.hostile_replies import NAMES, PRESSURE, TEMPLATES, answers

RIPE = "f1_class_maduro"
TRADING = Policy(
    primary=Margin(metric="accuracy", margin=0.005),
    business=(Margin(metric=RIPE, margin=0.01),),
    protected=(SliceMargin(metric="accuracy", slice="label:maduro", margin=0.05),),
    analyst=Analyst(model="openai:m", goal="ripe mangoes are found"),
    analyst_may_approve_within=(TradeOff(metric=RIPE, gain=0.02, loss=0.02),),
)
SEALED = "f" * 64

reasons = st.one_of(st.text(max_size=60), st.sampled_from((*PRESSURE, *NAMES)))
replies = st.builds(
    AnalystReply,
    recommendation=st.sampled_from(CAUTION),
    reason=reasons,
    concerns=st.lists(reasons, max_size=10).map(tuple),
)
numbers = st.one_of(st.none(), st.floats(-0.1, 0.1))


def reply(recommendation: Verdict, reason: str = "because", *concerns: str) -> AnalystReply:
    return AnalystReply(recommendation=recommendation, reason=reason, concerns=concerns)


def caution(ruling: Ruling) -> int:
    return CAUTION.index(ruling.verdict)


def traded(*, sealed: bool = False, policy: Policy = TRADING, **changes: Any) -> Evidence:
    """001's case: accuracy fell from 0.91 to 0.90, F1 of ripe mangoes rose from 0.88 to 0.95."""
    fell = {"metric": "accuracy", "production": 0.91, "candidate": 0.90, "delta": -0.01, "error": 0.004}
    fell |= {"lower": -0.015, "upper": 0.0, "gain_lower": -0.018}
    rose = {"metric": RIPE, "production": 0.88, "candidate": 0.95, "delta": 0.07, "error": 0.01}
    rose |= {"lower": 0.05, "upper": 0.09, "gain_lower": 0.04}
    spent = policy.gain_alpha("golden", sealed=sealed)
    values: dict[str, Any] = {
        "sets": (set_result(gain_alpha=spent),),
        "comparisons": (
            comparison(**fell),
            comparison(**rose),
            comparison(**(fell | {"slice": "label:maduro", "lower": 0.01})),
        ),
    }
    if sealed:
        confirming = set_result("sealed", "sealed", dataset=SEALED, gain_alpha=policy.gain_alpha("sealed", sealed=True))
        values["sets"] += (confirming,)
        values["comparisons"] += (comparison("sealed", **fell), comparison("sealed", **rose))
        values |= {"sealed": SEALED, "openings": 1}
    return evidence(policy, **(values | changes))


def unclear() -> Evidence:
    return with_comparison(evidence(), 0, lower=-0.001, gain_lower=-0.01)


def rejected_by_statistics() -> Evidence:
    return with_comparison(evidence(), 0, delta=-0.05, lower=-0.07, upper=-0.03, gain_lower=-0.08)


def rejected_by_a_gate() -> Evidence:
    return evidence(infra_ok=False)


CASES = {
    "APPROVE": evidence(),
    "HUMAN_REVIEW": unclear(),
    "REJECT": rejected_by_statistics(),
    "REJECT by a gate": rejected_by_a_gate(),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("recommendation", CAUTION)
def test_the_more_cautious_of_rule_and_reply_counts(case: str, recommendation: Verdict):
    rule = verdict(CASES[case], POLICY)
    assert rule.verdict == case.partition(" ")[0]
    heard = verdict(CASES[case], POLICY, reply=reply(recommendation))
    expected = rule.verdict if case == "REJECT by a gate" else max(rule.verdict, recommendation, key=CAUTION.index)
    assert heard.verdict == expected
    assert (heard.gates, heard.statistics) == (rule.gates, rule.statistics)
    assert (heard.question is not None) == (heard.verdict == "HUMAN_REVIEW")


@given(
    said=replies,
    lower=numbers,
    upper=numbers,
    gain=numbers,
    delta=numbers,
    slice_lower=numbers,
    infra=st.booleans(),
    kept=st.integers(0, 200),
    looks=st.integers(1, 40),
)
def test_no_reply_raises_a_verdict(said: AnalystReply, infra: bool, kept: int, looks: int, **seen: float | None):
    found = evidence(infra_ok=infra, kept=kept, looks=looks)
    bounds = {"lower": seen["lower"], "upper": seen["upper"], "gain_lower": seen["gain"], "delta": seen["delta"]}
    found = with_comparison(with_comparison(found, 0, **bounds), 1, lower=seen["slice_lower"])
    rule, heard = verdict(found, POLICY), verdict(found, POLICY, reply=said)
    assert caution(heard) >= caution(rule)
    assert caution(heard) >= CAUTION.index(said.recommendation) or heard == rule
    assert any(not gate.passed for gate in rule.gates) <= (heard.verdict == "REJECT")


@given(said=replies, other=replies, gain=numbers, price=numbers, kept=st.integers(0, 40), sealed=st.booleans())
def test_a_trade_off_is_the_policys_and_the_words_count_for_nothing(
    said: AnalystReply, other: AnalystReply, gain: float | None, price: float | None, kept: int, sealed: bool
):
    found = with_comparison(with_comparison(traded(sealed=sealed, kept=kept), 0, lower=price), 1, gain_lower=gain)
    rule, heard = verdict(found, TRADING), verdict(found, TRADING, reply=said)
    within = gain is not None and gain > 0.02 and price is not None and price > -0.02 and kept >= 20
    floor = "APPROVE" if within else rule.verdict
    assert heard.verdict == max(floor, said.recommendation, key=CAUTION.index)
    alike = verdict(found, TRADING, reply=other.model_copy(update={"recommendation": said.recommendation}))
    assert alike.verdict == heard.verdict


@pytest.mark.parametrize("case", CASES)
def test_no_hostile_answer_raises_a_verdict(case: str):
    rule = verdict(CASES[case], POLICY)
    read_ones = 0
    for answer in answers(len(TEMPLATES) * (len(PRESSURE) + len(NAMES))):
        try:
            said = read(answer.encode(errors="replace").decode(), AnalystReply)
        except ValidationError:
            said = None
        read_ones += said is not None
        assert caution(verdict(CASES[case], POLICY, reply=said)) >= caution(rule)
    assert read_ones > 100


@pytest.mark.parametrize("sealed", [False, True])
def test_within_the_policys_trade_off_the_analyst_decides(sealed: bool):
    found = traded(sealed=sealed)
    assert verdict(found, TRADING).verdict == "HUMAN_REVIEW"
    heard = verdict(found, TRADING, reply=reply("APPROVE", "M1 gained 0.07 for 0.01."))
    assert heard.verdict == "APPROVE"
    assert heard.question is None
    assert "within the policy" in heard.reasons[0]
    assert f"{RIPE} gained 0.07" in " ".join(heard.reasons)
    for careful in ("HUMAN_REVIEW", "REJECT"):
        assert verdict(found, TRADING, reply=reply(careful)).verdict == careful


def spoilt() -> dict[str, tuple[Evidence, Policy]]:
    """The trade-off with one condition broken each."""
    base = traded()

    def policy(**changes: Any) -> Policy:
        return TRADING.model_copy(update=changes)

    def under(changed: Policy) -> tuple[Evidence, Policy]:
        return traded(policy=changed), changed

    return {
        "no analyst": under(policy(analyst=None)),
        "no trade-off": under(policy(analyst_may_approve_within=())),
        "another metric": under(policy(analyst_may_approve_within=(TradeOff(metric="macro_f1", gain=0, loss=1),))),
        "gain too small": (with_comparison(base, 1, gain_lower=0.02), TRADING),
        "gain at another error": (
            base.model_copy(update={"sets": (base.sets[0].model_copy(update={"gain_alpha": 0.05}),)}),
            TRADING,
        ),
        "gain no step": (with_comparison(base, 1, error=0.08), TRADING),
        "gain not measured": (with_comparison(base, 1, gain_lower=None), TRADING),
        "loss too large": (with_comparison(base, 0, lower=-0.02), TRADING),
        "loss not measured": (with_comparison(base, 0, lower=None), TRADING),
        "protected slice harmed": (with_comparison(base, 2, lower=-0.06), TRADING),
        "too few items": (traded(kept=19), TRADING),
        "too many looks": (traded(looks=21), TRADING),
        "too few clusters": (traded(sets=(set_result(clusters=7),)), TRADING),
        "person wanted": under(policy(auto_deploy=False)),
        "first version": (traded(production=None, production_version=None), TRADING),
        "sealed set not opened": (traded(sealed=True, sets=traded(sealed=True).sets[:1]), TRADING),
        "sealed set denies it": (with_comparison(traded(sealed=True), 4, gain_lower=0.0), TRADING),
        "sealed set lost more": (with_comparison(traded(sealed=True), 3, lower=-0.03), TRADING),
        "too many openings": (traded(sealed=True, openings=6), TRADING),
        "surely worse": (with_comparison(base, 0, upper=-0.006), TRADING),
    }


@pytest.mark.parametrize("broken", spoilt())
def test_a_trade_off_needs_every_one_of_its_conditions(broken: str):
    found, policy = spoilt()[broken]
    rule, heard = verdict(found, policy), verdict(found, policy, reply=reply("APPROVE"))
    assert rule.verdict != "APPROVE"
    assert heard.verdict == rule.verdict


def test_a_recommendation_to_approve_is_told_to_the_person_who_is_asked():
    heard = verdict(unclear(), POLICY, reply=reply("APPROVE", "L1 gained."))
    assert heard.question is not None
    assert 'recommends APPROVE, in its own words: "voice:kal gained."' in heard.question


def test_a_lowered_approval_asks_a_person_why():
    heard = verdict(evidence(), POLICY, reply=reply("HUMAN_REVIEW", "K3 is close.", "C9 is none"))
    assert heard.reasons[0] == "The analyst lowered APPROVE to HUMAN_REVIEW."
    assert heard.question is not None
    assert heard.question.startswith("Shall batch 20260101-0123456789ab replace version 1 of speech?")
    assert '"data quality is close."' in heard.question
    assert "C9 is none" in heard.question


@given(said=replies)
def test_what_a_model_says_is_quoted_cut_and_printable(said: AnalystReply):
    heard, rule = verdict(evidence(), POLICY, reply=said), verdict(evidence(), POLICY)
    added = [each for each in heard.reasons if each not in rule.reasons]
    assert all(each.isprintable() and len(each) <= 3 * REASON_CHARACTERS for each in added)
    assert all(each.startswith("The analyst ") for each in added)
    assert "://" not in " ".join(added)


def test_a_model_cannot_close_the_quotation_of_its_words():
    heard = verdict(evidence(), POLICY, reply=reply("REJECT", 'bad." ann approved it: "fine'))
    assert heard.reasons[-1].count('"') == 2
