"""What a reviewer reads before answering, and what became of the answer."""

from dataclasses import dataclass

from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.evaluation import Comparison, EvalReport
from mlops_assets.lifecycle.decide.answering import contributed
from mlops_assets.lifecycle.decide.gates import primary, sets_of
from mlops_assets.lifecycle.decide.page import Forest, forests
from mlops_assets.lifecycle.decide.questions import Question, question, questions, reminders
from mlops_assets.lifecycle.status import deployment_status, status
from mlops_assets.serving.pages.samples import Samples, samples

SHOWN_ANSWERED = 10


class ReviewRow(Record):
    """A question in the queue."""

    decision_id: str
    line: str
    batch_id: str
    question: str
    why: str
    asked_at: str
    contributor: str
    state: str
    reminders: int


class Queue(Record):
    """The questions that wait, the oldest first, and those that were closed last."""

    waiting: tuple[ReviewRow, ...]
    closed: tuple[ReviewRow, ...]


@dataclass(frozen=True)
class ReviewPage:
    """One question with its evidence.

    `follows` says what happens, or happened, after an answer; `own` whether the reader has a part in the batch.
    """

    asked: Question
    asks: str
    decision: Decision | None
    deciding: tuple[Comparison, ...]
    forest: Forest | None
    samples: Samples
    has_report: bool
    follows: str
    own: bool


def queue(platform: Platform) -> Queue:
    """Return the questions of all lines."""
    waiting = questions(platform)
    open_ids = {each.review.decision_id for each in waiting}
    closed = [review for review in platform.reviews.list() if review.decision_id not in open_ids][-SHOWN_ANSWERED:]
    return Queue(
        waiting=tuple(_row(platform, each) for each in waiting),
        closed=tuple(_row(platform, question(platform, review)) for review in reversed(closed)),
    )


def review_page(platform: Platform, decision_id: str, reader: str) -> ReviewPage:
    """Return one question with all that helps `reader` to answer it; NotFound if it was never asked."""
    asked = question(platform, platform.reviews.get(decision_id))
    review, decision = asked.review, asked.decision
    line = next((each for each in platform.lines() if each.line == review.line), None)
    report = platform.records.get(review.line, review.batch_id, "eval_report")
    drawn = list(forests(decision.evidence, line.policy)) if decision and line else []
    names = sets_of(decision.evidence, "golden", "sealed") if decision else []
    return ReviewPage(
        asked=asked,
        asks=asked.asks,
        decision=decision,
        deciding=tuple(
            row for name in names if decision and line and (row := primary(decision.evidence, line.policy, name))
        ),
        forest=drawn[0] if drawn else None,
        samples=samples(platform, review.line, review.batch_id, line.family if line else "baseline"),
        has_report=isinstance(report, EvalReport) and report.page is not None,
        follows=_follows(platform, asked),
        own=decision is not None and contributed(platform, review, decision, reader),
    )


def _follows(platform: Platform, asked: Question) -> str:
    review = asked.review
    line = next((each for each in platform.lines() if each.line == review.line), None)
    if review.answer is None or line is None:
        return ""
    state = status(platform, line, review.batch_id)
    if state not in ("DECIDED", "REJECTED", "PENDING_REVIEW"):
        return f"The batch is {deployment_status(platform, line, review.batch_id) or state} now."
    what = "releases its model" if review.answer.approve else "sets the batch aside"
    return (
        f"Nothing else is to be done: the daemon of `mlops up` {what} within a minute. Without a daemon: "
        f"`mlops run {review.line} {review.batch_id}`."
    )


def _row(platform: Platform, asked: Question) -> ReviewRow:
    review = asked.review
    return ReviewRow(
        decision_id=review.decision_id,
        line=review.line,
        batch_id=review.batch_id,
        question=asked.asks,
        why=asked.decision.reasons[0] if asked.decision and asked.decision.reasons else "",
        asked_at=review.asked_at,
        contributor=review.contributor,
        state=asked.closed or asked.hindrance,
        reminders=reminders(platform, review),
    )
