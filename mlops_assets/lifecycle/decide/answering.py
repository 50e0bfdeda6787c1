"""`answer`: a person settles a HUMAN_REVIEW, in whatever process and however much later."""

from mlops_assets.core.errors import NotFound, Refused, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports import Platform, Review
from mlops_assets.core.records import Decision, ReviewAnswer
from mlops_assets.lifecycle.decide.deciding import conclude
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import hold_decision, production


def answer(platform: Platform, decision_id: str, given: ReviewAnswer) -> Decision:
    """Record a person's answer and conclude the decision; the first answer wins, the same one again changes nothing.

    NotFound if nobody asked; Refused for another answer than the first, or one by the batch's own contributor; Stale
    if production or policy changed since the question, or a newer decision took its place.
    """
    review = platform.reviews.get(decision_id)
    line = _line(platform, review.line)
    with hold_decision(platform, line, review.batch_id, given.reviewer):
        decision = platform.records.get(line.line, review.batch_id, "decision")
        if not isinstance(decision, Decision) or decision.decision_id != decision_id:
            raise Stale(
                f"Decision {decision_id} is no longer the one on batch {review.batch_id} of {line.line}.",
                f"See `mlops show {line.line} {review.batch_id}`.",
            )
        if decision.pending and platform.reviews.get(decision_id).answer is None:
            _allowed(platform, line, review, decision, given)
        first = platform.reviews.answer(decision_id, given).answer
        failpoint("answer: after answer")
        return conclude(platform, line, decision.evidence, first) if decision.pending else decision


def _allowed(platform: Platform, line: Line, review: Review, decision: Decision, given: ReviewAnswer) -> None:
    again = f"Run `mlops run {line.line} {review.batch_id}`: it is evaluated and asked about again."
    if given.reviewer.strip().casefold() == review.contributor.strip().casefold():
        raise Refused(
            f"{given.reviewer} contributed batch {review.batch_id} and cannot review it.",
            "Let someone else answer (`--reviewer NAME`).",
        )
    served = production(platform, line)
    if (served and served.version) != decision.evidence.production_version:
        raise Stale(
            f"{line.line} serves version {served.version if served else 'none'} now; the question was about version "
            f"{decision.evidence.production_version}.",
            again,
        )
    if line.policy.digest != decision.policy_digest:
        raise Stale(f"The policy of {line.line} changed since the question was asked.", again)


def _line(platform: Platform, name: str) -> Line:
    found = next((line for line in platform.lines() if line.line == name), None)
    if found is None:
        raise NotFound(f"There is no line '{name}' any more.", "Restore its YAML to answer its reviews.")
    return found
