"""Questions that nobody answers: people are reminded, and where the policy says so the question becomes a REJECT.

Everything follows from when a question was asked and what time it is now, so it does not matter which process looks,
how often, or how long none did. Every effect has a key and happens once.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_assets.core.errors import Busy, Refused, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports.accountability import Review
from mlops_assets.core.ports.mirrors import Alert
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.decide.answering import POLICY, answer, expire
from mlops_assets.lifecycle.decide.failing import alert_text
from mlops_assets.lifecycle.decide.questions import Question, question

PLATFORM = "platform"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reminded:
    """The questions people were reminded of, and those that became a REJECT."""

    reminded: tuple[Review, ...] = ()
    expired: tuple[Review, ...] = ()


def remind(platform: Platform, now: datetime) -> Reminded:
    """Send the reminders that are due at `now` (aware), and reject what has waited for too long; idempotent.

    Of several reminders that are due, as after a time without any process, the latest is sent. An answer that a crash
    kept from being concluded is concluded.
    """
    reminded, expired = [], []
    concluded = {str(entry.body["decision"]) for entry in platform.ledger.entries(kind="reviewed")}
    for review in platform.reviews.list():
        if review.decision_id in concluded:
            continue
        each = question(platform, review)
        line = next((line for line in platform.lines() if line.line == review.line), None)
        if line is None or each.decision is None or not each.decision.pending:
            continue
        if each.open and not _too_late(each, line, now):
            if _remind(platform, each, line, now):
                reminded.append(review)
        elif (each.open or review.answer is not None) and _settle(platform, each, line, now):
            expired += [review] if each.open else []
    return Reminded(tuple(reminded), tuple(expired))


def _too_late(asked: Question, line: Line, now: datetime) -> bool:
    """Say whether the policy it was asked under, which is still the line's, lets a question wait no longer."""
    limit = line.policy.human.expire_hours
    return limit is not None and _same_policy(asked, line) and asked.age(now) >= timedelta(hours=limit)


def _same_policy(asked: Question, line: Line) -> bool:
    return asked.decision is not None and asked.decision.policy_digest == line.policy.digest


def _remind(platform: Platform, asked: Question, line: Line, now: datetime) -> bool:
    """Send the reminder that is due, if it was not sent; the alert comes first, for it is delivered once by its key."""
    review, interval = asked.review, timedelta(hours=line.policy.human.remind_hours)
    number = asked.age(now) // interval
    key = f"review:{review.decision_id}:reminder:{number}"
    sent = platform.ledger.entries(review.line, "reminded", review.batch_id)
    if number < 1 or asked.decision is None or any(entry.body["alert"] == key for entry in sent):
        return False
    title = f"{review.line}: batch {review.batch_id} has waited for your review for {_waited(asked.age(now))}"
    text = alert_text(asked.decision)
    if asked.hindrance:
        text = (
            f"{asked.hindrance} It cannot be answered as it was asked: `mlops run {review.line} {review.batch_id}` "
            "evaluates the batch again."
        )
    elif line.policy.human.expire_hours is not None:
        left = timedelta(hours=line.policy.human.expire_hours) - asked.age(now)
        text += f" Without an answer it is rejected in {_waited(left)}."
    platform.alerts.send(Alert(key=key, title=title, text=text, line=review.line))
    platform.ledger.append(
        "reminded",
        review.line,
        actor=PLATFORM,
        batch_id=review.batch_id,
        body={"decision": review.decision_id, "alert": key, "at": now.isoformat(timespec="seconds")},
        key=f"reminded:{key}",
    )
    return True


def _settle(platform: Platform, asked: Question, line: Line, now: datetime) -> bool:
    """Reject what nobody answered, or finish an answer that a crash cut off; False if it could not be done now."""
    review, given = asked.review, asked.review.answer
    if not _same_policy(asked, line):
        return False
    try:
        if given is None:
            limit = line.policy.human.expire_hours
            reason = f"Nobody answered within {limit:g} hours, the policy's limit."
            expire(platform, review, reason, now.isoformat(timespec="seconds"))
        elif given.reviewer == POLICY:
            expire(platform, review, given.reason, given.answered_at)
        else:
            answer(platform, review.decision_id, given)
    except (Busy, Refused, Stale) as error:
        log.warning("Question %s is left as it is: %s", review.decision_id, error)
        return False
    return True


def _waited(time: timedelta) -> str:
    hours = time / timedelta(hours=1)
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
