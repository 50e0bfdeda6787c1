"""A history of two releases and a rejection, decided again under other policies."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.policy import Policy, SliceMargin
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.backtesting import Backtest, backtest
from mlops_assets.lifecycle.decide import answer
from mlops_assets.lifecycle.decide.replaying import Replayer, recorded_decisions
from mlops_assets.lifecycle.deployment.rollout import rollback
from mlops_assets.lifecycle.quarantine import discard
from mlops_assets_tests.lifecycle.chain import YES, open_light_line, run, submit
from mlops_assets_tests.lines import texts, write_rows


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Platform, Line]:
    """A good batch released, a wrong one thrown away, a third one approved by a person and rolled back."""
    platform, line = open_light_line(tmp_path_factory.mktemp("lived"))
    assert run(platform, line, submit(platform, line, "good")).verdict == "APPROVE"
    wrong = submit(platform, line, "wrong")
    assert run(platform, line, wrong).verdict == "REJECT"
    discard(platform, line, wrong, "bob", "useless")
    more = submit(platform, line, "good", seed=9, items=240)
    answer(platform, run(platform, line, more).decision_id, YES)
    assert run(platform, line, more).verdict == "APPROVE"
    rollback(platform, line, to=None, reason="complaints", actor="bob")
    return platform, line


def test_every_decision_comes_out_the_same_whatever_became_of_its_bundle(lived: tuple[Platform, Line]) -> None:
    platform, _ = lived
    found = [Replayer(platform).replay(each, from_scores=True) for each in recorded_decisions(platform)]
    assert [each.recorded for each in found] == ["APPROVE", "REJECT", "APPROVE"]
    assert [(each.identical, each.from_scores) for each in found] == [(True, "identical")] * 3


def test_replay_needs_no_line_and_says_so_of_the_numbers(lived: tuple[Platform, Line]) -> None:
    platform, _ = lived
    elsewhere = replace(platform, lines=list)
    decisions = recorded_decisions(elsewhere)
    found = Replayer(elsewhere).replay(decisions[0], from_scores=True)
    assert found.identical
    assert "no line 'topics' is declared here" in found.from_scores


def test_an_answer_or_a_number_that_was_changed_is_a_difference(lived: tuple[Platform, Line]) -> None:
    platform, _ = lived
    first, _, third = recorded_decisions(platform)
    unanswered = Replayer(platform).replay(third.model_copy(update={"review": None}))
    assert (unanswered.replayed, unanswered.identical) == ("HUMAN_REVIEW", False)
    row = first.evidence.comparisons[0]
    assert row.upper is not None
    moved = row.model_copy(update={"upper": row.upper + 1e-6})
    rows = (moved, *first.evidence.comparisons[1:])
    forged = first.model_copy(update={"evidence": first.evidence.model_copy(update={"comparisons": rows})})
    places = [each.where for each in Replayer(platform).replay(forged, from_scores=True).differences]
    assert "evidence digest" in places
    assert "comparisons: golden accuracy: upper" in places


def test_numbers_of_an_opened_sealed_set_are_made_again_and_a_sealed_set_that_was_not_opened_is_not_guessed(
    tmp_path: Path,
) -> None:
    platform, line = open_light_line(tmp_path)
    write_rows(tmp_path / "sealed" / "texts.jsonl", texts(103, 90, users=30))
    line = line.model_copy(update={"sealed": EvaluationSet(path=str(tmp_path / "sealed"), origin="synthetic")})
    platform = replace(platform, lines=lambda: [line])
    assert run(platform, line, submit(platform, line, "good")).verdict == "APPROVE"
    [decision] = recorded_decisions(platform)
    assert decision.evidence.openings == 1
    replay = Replayer(platform).replay(decision, from_scores=True)
    assert (replay.differences, replay.from_scores) == ((), "identical")
    kept = [each for each in decision.evidence.sets if each.kind != "sealed"]
    rows = [each for each in decision.evidence.comparisons if each.set_name != "sealed"]
    unopened = decision.evidence.model_copy(update={"sets": tuple(kept), "comparisons": tuple(rows)})
    platform.records.put("decision", decision.model_copy(update={"evidence": unopened}))
    [retrial] = backtest(platform, line, line.policy.model_copy(update={"alpha": 0.06})).retrials
    assert retrial.would_be == "HUMAN_REVIEW"
    assert any("what it would show is not known" in remark for remark in retrial.remarks)


def test_the_same_policy_flips_nothing(lived: tuple[Platform, Line]) -> None:
    found = _under(lived)
    assert [each.flips for each in found.retrials] == [False, False, False]
    assert [each.version for each in found.retrials] == [2, None, 3]


def test_a_smaller_error_flips_a_release_by_the_bound_that_is_made_again_from_its_scores(
    lived: tuple[Platform, Line],
) -> None:
    platform, line = lived
    bound = recorded_decisions(platform)[0].evidence.comparisons[0].gain_lower
    assert bound is not None
    gates = line.policy.gates.model_copy(update={"min_wer_improvement": bound - 0.005})
    assert not _under(lived, gates=gates).retrials[0].flips
    release = _under(lived, gates=gates, alpha=0.01).retrials[0]
    assert (release.was, release.would_be, release.flips) == ("APPROVE", "HUMAN_REVIEW", True)
    assert "does not exceed" in release.why
    assert "A person would be asked, and was not." in release.remarks


def test_a_condition_on_the_batch_flips_what_no_person_approved(lived: tuple[Platform, Line]) -> None:
    found = _under(lived, min_items_to_promote=1_000)
    assert [each.flips for each in found.retrials] == [True, False, False]
    assert "1000 are needed" in found.retrials[0].why


def test_a_looser_policy_flips_a_rejection_no_gate_made_and_says_what_a_person_was_spared(
    lived: tuple[Platform, Line],
) -> None:
    _, line = lived
    open_gates = line.policy.gates.model_copy(
        update={"max_degraded_share": 1.0, "critical_degradation_threshold": 1.0, "max_failed_samples_rate": 1.0}
    )
    primary = line.policy.primary.model_copy(update={"margin": 0.6})
    found = _under(lived, gates=open_gates, primary=primary, critical_margin=0.6)
    assert (found.retrials[1].was, found.retrials[1].would_be) == ("REJECT", "HUMAN_REVIEW")
    cheap = _under(lived, alpha=0.3, looks_budget=3)
    assert "No person would be needed." in cheap.retrials[2].remarks


def test_a_protected_slice_that_never_occurs_asks_a_person(lived: tuple[Platform, Line]) -> None:
    never = SliceMargin(metric="accuracy", slice="label:cookery", margin=0.1)
    release = _under(lived, protected=(never,)).retrials[0]
    assert (release.would_be, release.flips) == ("HUMAN_REVIEW", True)
    assert "was not measured on the protected slice label:cookery" in release.why


def test_a_release_is_worth_what_it_gained_on_data_that_came_later(lived: tuple[Platform, Line]) -> None:
    second, third = _under(lived).worth
    assert second.delta is not None
    assert second.lower is not None
    assert (second.previous, second.items, second.origin) == (1, 240, "synthetic")
    assert 0 < second.lower < second.delta
    assert third.delta is None
    assert "No data arrived since" in third.not_measured
    assert third.rolled_back == ("complaints",)


def test_a_metric_that_the_line_does_not_have_is_said_not_guessed(lived: tuple[Platform, Line]) -> None:
    _, line = lived
    found = _under(lived, primary=line.policy.primary.model_copy(update={"metric": "wer"}))
    assert all(each.would_be is None and "'wer'" in each.why for each in found.retrials)
    assert all("'wer'" in each.not_measured for each in found.worth)


def _under(lived: tuple[Platform, Line], **changes: object) -> Backtest:
    platform, line = lived
    before = platform.ledger.entries()
    policy = Policy.model_validate(dict(line.policy) | changes)
    found = backtest(platform, line, policy)
    assert platform.ledger.entries() == before
    return found
