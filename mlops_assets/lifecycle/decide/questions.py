"""Which questions wait for a person, read from the records each time: one that was overtaken cannot stay open."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mlops_assets.core.line import Line
from mlops_assets.core.ports.accountability import Review
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.outcome import Quarantined
from mlops_assets.lifecycle.decide.recorded import judging_code
from mlops_assets.lifecycle.holding import production, released


@dataclass(frozen=True)
class Question:
    """A question to a person: what came of it, and whether it can be answered now.

    `decision` is the one that asked, as long as it is the latest on its batch. `closed` says why no answer is wanted
    any more, `hindrance` why an open one cannot be answered now; both are empty otherwise.
    """

    review: Review
    decision: Decision | None
    closed: str = ""
    hindrance: str = ""

    @property
    def asks(self) -> str:
        """The question itself, without the reasons and conditions that follow it."""
        first, mark, _ = self.review.question.partition("?")
        return first + mark

    @property
    def open(self) -> bool:
        """Whether a person is still to answer."""
        return not self.closed

    def age(self, now: datetime) -> timedelta:
        """Return how long it has waited at `now` (aware)."""
        return now - datetime.fromisoformat(self.review.asked_at)


def questions(platform: Platform, line: str | None = None, *, open_only: bool = True) -> list[Question]:
    """Return the questions of one line or of all, oldest first."""
    found = (question(platform, review) for review in platform.reviews.list(line, open_only=open_only))
    return [each for each in found if each.open or not open_only]


def question(platform: Platform, review: Review) -> Question:
    """Return how a question stands."""
    decision = platform.records.get(review.line, review.batch_id, "decision")
    mine = decision if isinstance(decision, Decision) and decision.decision_id == review.decision_id else None
    closed = _closed(platform, review, decision if isinstance(decision, Decision) else None)
    line = next((each for each in platform.lines() if each.line == review.line), None)
    if closed or mine is None:
        return Question(review, mine, closed)
    if line is None:
        return Question(review, mine, hindrance=f"There is no line '{review.line}' any more; restore its YAML.")
    return Question(review, mine, hindrance=hindrance(platform, line, mine))


def hindrance(platform: Platform, line: Line, decision: Decision) -> str:
    """Say what moved since a decision was made that a person is asked about; nothing if all stands as it was."""
    served = production(platform, line)
    if (served and served.version) != decision.evidence.production_version:
        return (
            f"{line.line} serves version {served.version if served else 'none'} now; the question was about version "
            f"{decision.evidence.production_version}."
        )
    if line.policy.digest != decision.policy_digest:
        return f"The policy of {line.line} changed since the question was asked."
    if judging_code(platform, line) != decision.evidence.code_version:
        return f"The code that judges {line.line} changed since the question was asked."
    return ""


def document(platform: Platform, asked: Question, now: datetime) -> dict[str, Any]:
    """Return a question as JSON data, with what would have to be true to approve; `now` is aware."""
    analysis = asked.decision.analysis if asked.decision else None
    return {
        **asked.review.model_dump(mode="json"),
        "open": asked.open,
        "closed": asked.closed,
        "hindrance": asked.hindrance,
        "age_hours": round(asked.age(now) / timedelta(hours=1), 1),
        "reminders": reminders(platform, asked.review),
        "verdict": asked.decision.verdict if asked.decision else None,
        "reasons": list(asked.decision.reasons) if asked.decision else [],
        "to_approve": list(analysis.to_approve) if analysis else [],
        "would_help": list(analysis.would_help) if analysis else [],
    }


def reminders(platform: Platform, review: Review) -> int:
    """Return how many reminders of a question were sent."""
    entries = platform.ledger.entries(review.line, "reminded", review.batch_id)
    return sum(entry.body["decision"] == review.decision_id for entry in entries)


def _closed(platform: Platform, review: Review, decision: Decision | None) -> str:
    if review.answer is not None:
        word = "approved" if review.answer.approve else "rejected"
        return f"{review.answer.reviewer} {word} it at {review.answer.answered_at}: {review.answer.reason}"
    if decision is None:
        return f"Overtaken: batch {review.batch_id} is judged anew."
    if decision.decision_id != review.decision_id:
        return f"Overtaken: batch {review.batch_id} was judged anew, by decision {decision.decision_id}."
    held = platform.records.get(review.line, review.batch_id, "quarantine")
    if isinstance(held, Quarantined):
        return f"Withdrawn: batch {review.batch_id} was set aside ({held.reason_code})."
    line = next((each for each in platform.lines() if each.line == review.line), None)
    if line is not None and (version := released(platform, line, review.batch_id)) is not None:
        return f"Withdrawn: batch {review.batch_id} was released as version {version.version}."
    return "" if decision.pending else f"Overtaken: decision {decision.decision_id} is {decision.verdict}."
