"""The verdict: what rejects, what asks a person, and that better evidence never gives a worse one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.policy import Gates, Policy
from mlops_assets.core.records.decision import AnalystReply, Evidence, ReviewAnswer
from mlops_assets.core.records.evaluation import Compression, Confusion, ConfusionPair
from mlops_assets.core.records.purchases import SliceReport
from mlops_assets.lifecycle.decide.gates import gates
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

RANK = {"REJECT": 0, "HUMAN_REVIEW": 1, "APPROVE": 2}
YES = ReviewAnswer(approve=True, reviewer="bob", reason="listened to it", answered_at="2026-01-01T00:00:00+00:00")

differences = st.floats(-0.2, 0.2, allow_nan=False).map(lambda value: round(value, 4))


@st.composite
def bounds(draw: st.DrawFn) -> dict[str, float]:
    gain_lower, lower, delta, upper = sorted(draw(st.tuples(*[differences] * 4)))
    return {"gain_lower": gain_lower, "lower": lower, "delta": delta, "upper": upper, "error": draw(st.floats(0, 0.1))}


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    found = evidence(
        kept=draw(st.integers(1, 60)),
        dropped_share=draw(st.floats(0, 0.4)),
        quality_score=draw(st.floats(5, 10)),
        infra_ok=draw(st.sampled_from([True, True, True, False])),
        looks=draw(st.integers(1, 25)),
        sets=(
            set_result(
                n=draw(st.integers(10, 200)),
                clusters=draw(st.integers(1, 20)),
                degraded_share=draw(st.floats(0, 0.2)),
            ),
            set_result("human", "critical"),
        ),
    )
    for index in range(3):
        found = with_comparison(found, index, **draw(bounds()))
    return found


def test_clear_gain_is_approved_with_its_numbers() -> None:
    ruling = verdict(evidence(), POLICY)
    assert ruling.verdict == "APPROVE"
    assert "0.1800 against 0.2200" in ruling.reasons[0]
    assert "synthetic" in ruling.reasons[0]
    assert ruling.question is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"infra_ok": False}, "fresh process"),
        ({"kept": 3}, "3 items"),
        ({"quality_score": 6.9}, "6.9 of 10"),
        ({"dropped_share": 0.25}, "25.0%"),
        ({"sets": (set_result(degraded_share=0.2),)}, "20.0%"),
    ],
)
def test_failed_gate_rejects_whatever_a_person_says(changes: dict[str, Any], word: str) -> None:
    ruling = verdict(evidence(**changes), POLICY, YES)
    assert ruling.verdict == "REJECT"
    assert word in " ".join(ruling.reasons)


@pytest.mark.parametrize(("field", "value"), [("seconds_per_unit", 0.2), ("size_bytes", 2000)])
def test_costly_candidate_is_rejected(field: str, value: float) -> None:
    found = evidence()
    systems = found.systems | {"candidate": found.systems["candidate"].model_copy(update={field: value})}
    assert verdict(found.model_copy(update={"systems": systems}), POLICY).verdict == "REJECT"


def test_lost_critical_suite_rejects() -> None:
    lost = with_comparison(evidence(), 2, candidate=0.3, delta=-0.08, lower=-0.1, upper=-0.06)
    ruling = verdict(lost, POLICY)
    assert ruling.verdict == "REJECT"
    assert "0.2200 to 0.3000" in ruling.reasons[0]


def test_loss_within_the_margin_is_not_degradation() -> None:
    small = with_comparison(evidence(), 2, production=0.0, candidate=0.004, delta=-0.004, lower=-0.008, upper=0.0)
    assert verdict(small, POLICY).verdict == "APPROVE"


def test_absolute_bound_is_a_gate() -> None:
    policy = POLICY.model_copy(update={"gates": Gates(max_primary=0.1)})
    assert verdict(evidence(policy), policy).verdict == "REJECT"


def test_clear_loss_rejects() -> None:
    worse = with_comparison(evidence(), 0, candidate=0.3, delta=-0.08, lower=-0.1, upper=-0.06)
    ruling = verdict(worse, POLICY)
    assert ruling.verdict == "REJECT"
    assert "0.0800 worse" in ruling.reasons[0]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"production": None, "production_version": None, "systems": {}}, "first version"),
        ({"systems": {}}, "could not be evaluated"),
        ({"sets": (set_result(n=19),)}, "19 items"),
        ({"sets": (set_result(clusters=7),)}, "7 speakers"),
        ({"looks": 21}, "looked at 21 times"),
        ({"looks": 0}, "looked at 0 times"),
        ({"kept": 19}, "19 usable items"),
        ({"comparisons": ()}, "not measured"),
        ({"sets": ()}, "No golden set"),
        ({"comparisons": (comparison(), comparison("human"))}, "protected slice voice:kal"),
        ({"comparisons": (comparison(), comparison(slice="voice:kal"))}, "critical suite human"),
    ],
)
def test_what_cannot_be_judged_goes_to_a_person(changes: dict[str, Any], word: str) -> None:
    found = evidence(**changes)
    ruling = verdict(found, POLICY)
    assert ruling.verdict == "HUMAN_REVIEW"
    assert word in " ".join(ruling.reasons)
    assert ruling.question is not None
    assert verdict(found, POLICY, YES).verdict == "APPROVE"
    assert verdict(found, POLICY, YES.model_copy(update={"approve": False})).verdict == "REJECT"


def test_inconclusive_says_what_could_have_been_seen_and_what_is_needed() -> None:
    unclear = with_comparison(evidence(), 0, delta=0.01, lower=-0.01, gain_lower=-0.02, upper=0.03)
    ruling = verdict(unclear, POLICY)
    assert ruling.verdict == "HUMAN_REVIEW"
    assert "0.0200 in wer or more with 80 % power" in " ".join(ruling.reasons)
    assert "4880 more items" in " ".join(ruling.reasons)


@given(evidences(), st.booleans())
def test_no_answer_turns_a_failed_gate_into_an_approval(found: Evidence, approve: bool) -> None:
    answer = YES.model_copy(update={"approve": approve})
    if not all(gate.passed for gate in gates(found, POLICY)):
        assert verdict(found, POLICY, answer).verdict == "REJECT"


@given(evidences())
def test_an_answer_settles_only_a_review(found: Evidence) -> None:
    ruling = verdict(found, POLICY)
    if ruling.verdict != "HUMAN_REVIEW":
        assert verdict(found, POLICY, YES) == ruling
        assert verdict(found, POLICY, YES.model_copy(update={"approve": False})) == ruling
    assert ruling.reasons


@given(evidences(), st.integers(0, 2), st.floats(0, 0.1))
def test_better_numbers_never_lower_the_verdict(found: Evidence, index: int, gain: float) -> None:
    before = found.comparisons[index]
    assert before.delta is not None
    assert before.lower is not None
    assert before.gain_lower is not None
    assert before.upper is not None
    better = with_comparison(
        found,
        index,
        candidate=before.candidate - gain,
        delta=before.delta + gain,
        lower=before.lower + gain,
        gain_lower=before.gain_lower + gain,
        upper=before.upper + gain,
    )
    assert _rank(better) >= _rank(found)


@given(evidences(), st.floats(0.1, 1), st.integers(0, 50), st.floats(0, 5))
def test_better_data_and_costs_never_lower_the_verdict(
    found: Evidence, factor: float, items: int, quality: float
) -> None:
    candidate = found.systems["candidate"]
    better = found.model_copy(
        update={
            "kept": found.kept + items,
            "dropped_share": found.dropped_share * factor,
            "quality_score": min(10.0, found.quality_score + quality),
            "sets": tuple(
                each.model_copy(update={"degraded_share": each.degraded_share * factor}) for each in found.sets
            ),
            "systems": found.systems
            | {"candidate": candidate.model_copy(update={"seconds_per_unit": candidate.seconds_per_unit * factor})},
        }
    )
    assert _rank(better) >= _rank(found)


@given(evidences(), st.sampled_from(["lower", "upper", "delta", "gain_lower", "error"]))
def test_a_missing_number_is_never_approved(found: Evidence, field: str) -> None:
    assert verdict(with_comparison(found, 0, **{field: None}), POLICY).verdict != "APPROVE"


@given(evidences(), st.integers(0, 2))
def test_a_part_that_was_not_measured_is_never_approved(found: Evidence, index: int) -> None:
    kept = tuple(each for at, each in enumerate(found.comparisons) if at != index)
    assert verdict(found.model_copy(update={"comparisons": kept}), POLICY).verdict != "APPROVE"
    assert verdict(with_comparison(found, index, lower=None), POLICY).verdict != "APPROVE"


def _rank(found: Evidence, policy: Policy = POLICY) -> int:
    return RANK[verdict(found, policy).verdict]


def compressed(**changes: Any) -> Evidence:
    values = {"set_name": "golden", "metric": "wer", "n": 120, "agreement": 0.99, "delta": -0.001, "lower": -0.004}
    made = Compression.model_validate({**values, "upper": 0.002, "size_ratio": 0.3, "latency_ratio": 0.5, **changes})
    return evidence(compression=(made,))


def test_an_export_that_keeps_its_quality_passes() -> None:
    assert verdict(compressed(), POLICY).verdict == "APPROVE"


@pytest.mark.parametrize("changes", [{"agreement": 0.94}, {"lower": -0.03}], ids=str)
def test_an_export_that_loses_too_much_is_rejected(changes: dict[str, float]) -> None:
    ruling = verdict(compressed(**changes), POLICY)
    assert ruling.verdict == "REJECT"
    assert "xport" in ruling.reasons[0]
    assert verdict(compressed(**changes, set_name="human"), POLICY).verdict == "APPROVE"


def test_a_rejection_names_the_confusion_that_grew() -> None:
    grown = {"label": "verde", "predicted": "hoja", "n": 40, "candidate": 0.25, "production": 0.1, "delta": 0.15}
    pair = ConfusionPair.model_validate({**grown, "lower": 0.04, "upper": 0.27})
    counts = ((30, 10, 0), (0, 40, 0))
    confusion = Confusion(
        set_name="golden", origin="synthetic", labels=("verde", "hoja"), candidate=counts, pairs=(pair,)
    )
    ruling = verdict(evidence(infra_ok=False, confusions=(confusion,)), POLICY)
    said = "It takes verde for hoja 15% more often than version 1: 25% of 40 items instead of 10%."
    assert said in ruling.reasons
    unsure = confusion.model_copy(update={"pairs": (pair.model_copy(update={"lower": -0.01}),)})
    assert said not in verdict(evidence(infra_ok=False, confusions=(unsure,)), POLICY).reasons


@pytest.mark.parametrize("kind", ["benchmark", "critical", "edge"])
def test_failed_samples_of_a_suite_reject(kind: str) -> None:
    sets = (set_result(), set_result("human", kind, failed_share=0.06))
    assert verdict(evidence(sets=sets), POLICY).verdict == "REJECT"
    assert "6.0% of the 120 samples" in verdict(evidence(sets=sets), POLICY).reasons[0]
    few = (set_result(), set_result("human", kind, failed_share=0.05))
    assert verdict(evidence(sets=few), POLICY).verdict == "APPROVE"


@given(evidences(), st.sampled_from(["APPROVE", "HUMAN_REVIEW", "REJECT"]), st.booleans())
def test_neither_a_reply_nor_an_answer_raises_a_failed_gate(found: Evidence, said: str, approve: bool) -> None:
    reply = AnalystReply.model_validate({"recommendation": said, "reason": "because"})
    ruling = verdict(found, POLICY, None, reply)
    assert RANK[ruling.verdict] <= RANK[verdict(found, POLICY).verdict]
    if not all(gate.passed for gate in gates(found, POLICY)):
        answer = YES.model_copy(update={"approve": approve})
        assert verdict(found, POLICY, answer, reply) == verdict(found, POLICY)


@given(evidences(), st.data())
def test_worse_evidence_never_gives_a_better_verdict(found: Evidence, data: st.DataObject) -> None:
    scan = (scanned("noise:high", harmed=True),)
    suite = found.sets[1].model_copy(update={"failed_share": data.draw(st.floats(0, 1))})
    strange = (contributor("bob", 0.5, outlier=True),)
    worse: list[dict[str, Any]] = [
        {"scan": scan},
        {"sets": (found.sets[0], suite)},
        {"contributors": strange},
        {"sealed": "f" * 64},
        {"looks": found.looks + data.draw(st.integers(0, 30))},
        {"noise": noise(1, data.draw(st.one_of(st.none(), st.floats(-1, 0))))},
        {"slices": SliceReport(scan=scan, clusters=())},
    ]
    for changes in worse:
        assert _rank(found.model_copy(update=changes)) <= _rank(found)
