from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.errors import Refused, Stale
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import RawBatch
from mlops_assets.core.records.decision import Decision, ReviewAnswer
from mlops_assets.core.records.evaluation import ContributorReport
from mlops_assets.core.records.outcome import Quarantined
from mlops_assets.lifecycle.decide import answer, decide
from mlops_assets.lifecycle.decide.questions import question, questions
from mlops_assets_tests.lifecycle.decide.evaluated import LINE, open_platform, put_evaluated, serve
from mlops_assets_tests.lifecycle.decide.evidences import evidence

SMALL = evidence(kept=8)
BATCH = SMALL.batch_id


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    made = open_platform(tmp_path)
    serve(made, "a" * 64)
    put_evaluated(made, SMALL)
    return made


def ask(platform: Platform) -> Decision:
    return decide(platform, LINE, BATCH)


def reply(**changes: Any) -> ReviewAnswer:
    values: dict[str, Any] = {"approve": True, "reviewer": "bob", "reason": "heard it", "answered_at": "2026-01-01"}
    return ReviewAnswer(**(values | changes))


def came_from(platform: Platform, batch_id: str, earlier: str, contributor: str) -> None:
    """Record that a batch was readmitted from an earlier one, of its own contributor."""
    raw = platform.records.get(LINE.line, BATCH, "raw_batch")
    assert isinstance(raw, RawBatch)
    platform.records.put("raw_batch", raw.model_copy(update={"batch_id": batch_id, "source": f"release:{earlier}"}))
    platform.records.put("raw_batch", raw.model_copy(update={"batch_id": earlier, "contributor": contributor}))


@pytest.mark.parametrize("changes", [{"reason": ""}, {"reason": " \n\t"}, {"reviewer": " "}, {"reason": "\u200b"}])
def test_an_answer_without_a_name_or_a_reason_is_refused_with_a_sentence(
    platform: Platform, changes: dict[str, str]
) -> None:
    asked = ask(platform)
    with pytest.raises(Refused, match="An answer needs") as refused:
        answer(platform, asked.decision_id, reply(**changes))
    assert "--reason TEXT" in refused.value.todo
    assert ask(platform).pending


@pytest.mark.parametrize("name", ["ann", "Ann ", " A N N", "ＡＮＮ", "an\u200bn"])
def test_no_spelling_lets_the_contributor_answer(platform: Platform, name: str) -> None:
    asked = ask(platform)
    for approve in (True, False):
        with pytest.raises(Refused, match="contributed"):
            answer(platform, asked.decision_id, reply(reviewer=name, approve=approve))
    assert platform.reviews.get(asked.decision_id).answer is None


def test_who_contributed_a_batch_that_this_one_was_readmitted_from_cannot_answer(platform: Platform) -> None:
    came_from(platform, BATCH, "20250101-first0000000", "eve")
    asked = ask(platform)
    with pytest.raises(Refused, match="contributed"):
        answer(platform, asked.decision_id, reply(reviewer="Eve"))
    assert answer(platform, asked.decision_id, reply()).verdict == "APPROVE"


def test_who_sent_what_others_are_said_to_have_reported_cannot_answer(platform: Platform) -> None:
    raw = platform.records.get(LINE.line, BATCH, "raw_batch")
    assert isinstance(raw, RawBatch)
    platform.records.put("raw_batch", raw.model_copy(update={"contributor": "9 users", "senders": ("app", "Eve")}))
    asked = ask(platform)
    with pytest.raises(Refused, match="contributed"):
        answer(platform, asked.decision_id, reply(reviewer="eve"))
    assert answer(platform, asked.decision_id, reply()).verdict == "APPROVE"


def test_who_has_a_part_in_the_data_cannot_answer(tmp_path: Path) -> None:
    platform = open_platform(tmp_path)
    serve(platform, "a" * 64)
    part = ContributorReport(contributor="kal", items=8, share=1.0)
    put_evaluated(platform, evidence(kept=8, contributors=(part,)))
    asked = ask(platform)
    assert asked.evidence.contributors == (part,)
    with pytest.raises(Refused, match="contributed"):
        answer(platform, asked.decision_id, reply(reviewer="kal"))


def test_nobody_answers_in_the_policys_name(platform: Platform) -> None:
    asked = ask(platform)
    with pytest.raises(Refused, match="how the policy itself answers"):
        answer(platform, asked.decision_id, reply(reviewer="Policy"))


def test_an_answer_is_kept_on_one_line_and_the_same_one_again_changes_nothing(platform: Platform) -> None:
    asked = ask(platform)
    first = answer(platform, asked.decision_id, reply(reason="heard\nit \u202e twice"))
    assert first.review is not None
    assert first.review.reason == "heard it twice"
    assert answer(platform, asked.decision_id, reply(reason="heard\nit \u202e twice")) == first


def test_an_answered_question_is_closed_and_says_who_answered(platform: Platform) -> None:
    asked = ask(platform)
    (waiting,) = questions(platform)
    assert waiting.open
    assert waiting.decision == asked
    answer(platform, asked.decision_id, reply())
    assert questions(platform) == []
    (answered,) = questions(platform, open_only=False)
    assert answered.closed == "bob approved it at 2026-01-01: heard it"


def test_a_question_whose_batch_is_judged_anew_is_overtaken_and_says_so(platform: Platform) -> None:
    first = ask(platform)
    platform.records.forget(LINE.line, BATCH, "decision")
    review = platform.reviews.get(first.decision_id)
    assert question(platform, review).closed == f"Overtaken: batch {BATCH} is judged anew."
    put_evaluated(platform, evidence(kept=9))
    second = ask(platform)
    assert second.decision_id != first.decision_id
    assert [each.review.decision_id for each in questions(platform)] == [second.decision_id]
    assert question(platform, review).closed == (
        f"Overtaken: batch {BATCH} was judged anew, by decision {second.decision_id}."
    )
    with pytest.raises(Stale, match="no longer the one"):
        answer(platform, first.decision_id, reply())


def test_a_question_about_a_batch_that_was_set_aside_is_withdrawn(platform: Platform) -> None:
    asked = ask(platform)
    held = Quarantined(
        line=LINE.line, batch_id=BATCH, reason_code="TASK_FAILED", reason="r", status="held",
        deployment_status="ERROR", path="quarantine/x", alert="a", quarantined_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    platform.records.put("quarantine", held)
    assert questions(platform) == []
    assert question(platform, platform.reviews.get(asked.decision_id)).closed.startswith("Withdrawn")


def test_a_question_that_production_moved_away_from_is_open_and_says_why_nobody_can_answer(platform: Platform) -> None:
    asked = ask(platform)
    serve(platform, "b" * 64, "second")
    (waiting,) = questions(platform)
    assert waiting.hindrance == "speech serves version 2 now; the question was about version 1."
    with pytest.raises(Stale, match="serves version 2 now"):
        answer(platform, asked.decision_id, reply())
