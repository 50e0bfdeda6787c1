"""`answer`: a person settles a HUMAN_REVIEW, in whatever process and however much later; `expire`: nobody did."""

import unicodedata

from mlops_assets.core.errors import Forbidden, NotFound, Refused, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports.accountability import Review
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import RawBatch
from mlops_assets.core.records.decision import Decision, ReviewAnswer
from mlops_assets.lifecycle.decide.deciding import settle
from mlops_assets.lifecycle.decide.pseudonyms import plain
from mlops_assets.lifecycle.decide.questions import hindrance, question
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import hold_decision

POLICY = "policy"
NAME, REASON = 120, 2_000
READMITTED = "release:"


def answer(platform: Platform, decision_id: str, given: ReviewAnswer) -> Decision:
    """Record a person's answer and conclude the decision; the first answer wins, the same one again changes nothing.

    Name and reason are kept on one line. NotFound if nobody asked; Refused without a name or a reason, or for another
    answer than the first; Forbidden for one by somebody who contributed the batch; Stale if production, policy or code
    changed since the question, for then nothing could be released by it, or if a newer decision took its place.
    """
    said = given.model_copy(update={"reviewer": plain(given.reviewer, NAME), "reason": plain(given.reason, REASON)})
    if not said.reviewer or not said.reason:
        missing = "the name of who answers" if not said.reviewer else "a reason"
        raise Refused(
            f"An answer needs {missing}: it is written into the ledger and the model card.",
            "Give --reviewer NAME and --reason TEXT.",
        )
    if _person(said.reviewer) == POLICY:
        raise Refused(f"'{said.reviewer}' is how the policy itself answers.", "Give the name of a person.")
    review = platform.reviews.get(decision_id)
    line = _line(platform, review.line)
    with hold_decision(platform, line, review.batch_id, said.reviewer):
        decision = _asking(platform, line, review)
        if decision.pending and platform.reviews.get(decision_id).answer is None:
            _allowed(platform, line, review, decision, said)
        return _settled(platform, line, decision, said)


def expire(platform: Platform, review: Review, reason: str, at: str) -> Decision:
    """Reject in the policy's name what nobody answered, however production moved; `at` is UTC in ISO 8601.

    Called again it finishes what a crash left undone. Refused if somebody answered; Stale if it was overtaken.
    """
    line = _line(platform, review.line)
    with hold_decision(platform, line, review.batch_id, POLICY):
        decision = _asking(platform, line, review)
        given = ReviewAnswer(approve=False, reviewer=POLICY, reason=reason, answered_at=at)
        platform.reviews.answer(review.decision_id, given)
        failpoint("expire: after answer")
        platform.ledger.append(
            "expired",
            review.line,
            actor=POLICY,
            batch_id=review.batch_id,
            body={"decision": review.decision_id, "reason": reason},
            key=f"expired:{review.decision_id}",
        )
        return _settled(platform, line, decision, given)


def _asking(platform: Platform, line: Line, review: Review) -> Decision:
    """Return the decision that asks; Stale if it is no longer the one on its batch."""
    decision = question(platform, review).decision
    if decision is None:
        raise Stale(
            f"Decision {review.decision_id} is no longer the one on batch {review.batch_id} of {line.line}.",
            f"See `mlops show {line.line} {review.batch_id}`.",
        )
    return decision


def _settled(platform: Platform, line: Line, decision: Decision, given: ReviewAnswer) -> Decision:
    first = platform.reviews.answer(decision.decision_id, given).answer
    failpoint("answer: after answer")
    return settle(platform, line, decision, first) if decision.pending else decision


def _allowed(platform: Platform, line: Line, review: Review, decision: Decision, given: ReviewAnswer) -> None:
    if contributed(platform, review, decision, given.reviewer):
        raise Forbidden(
            f"{given.reviewer} contributed to batch {review.batch_id} and cannot review it.",
            "Let someone else answer (`--reviewer NAME`).",
        )
    if moved := hindrance(platform, line, decision):
        raise Stale(
            moved, f"Run `mlops run {line.line} {review.batch_id}`: it is evaluated and, if need be, asked about again."
        )


def contributed(platform: Platform, review: Review, decision: Decision, name: str) -> bool:
    """Say whether somebody has a part in the data of a batch, however the name is spelled."""
    return _person(name) in {_person(each) for each in _contributors(platform, review, decision)}


def _contributors(platform: Platform, review: Review, decision: Decision) -> set[str]:
    """Return whose data is in a batch, or who sent it: also of its parts, and of batches it was readmitted from."""
    names = {review.contributor, decision.evidence.contributor}
    names |= {each.contributor for each in decision.evidence.contributors}
    seen: set[str] = set()
    batch_id = review.batch_id
    while batch_id not in seen:
        seen.add(batch_id)
        raw = platform.records.get(review.line, batch_id, "raw_batch")
        if isinstance(raw, RawBatch):
            names |= {raw.contributor, *raw.senders}
            batch_id = raw.source.removeprefix(READMITTED) if raw.source.startswith(READMITTED) else batch_id
    return names


def _person(name: str) -> str:
    """Return what is left of a name when case, width, spaces and letters that do not show are taken away."""
    return "".join(each for each in unicodedata.normalize("NFKC", name).casefold() if each.isprintable()).replace(
        " ", ""
    )


def _line(platform: Platform, name: str) -> Line:
    found = next((line for line in platform.lines() if line.line == name), None)
    if found is None:
        raise NotFound(f"There is no line '{name}' any more.", "Restore its YAML to answer its reviews.")
    return found
