"""The statistical rule, and the verdict as a pure function of evidence, policy, an analyst's reply and an answer.

Every difference is oriented so that positive means the candidate is better; L and U are its one-sided bounds, m the
policy's non-inferiority margin. A failed gate rejects, whatever else is true. Then, fail closed: what cannot be judged
(no production, a golden set too small, a number that is missing) goes to a person. U < -m rejects. What remains is
approved if it may be promoted (`promoting`): the gain is real, and no protected slice or critical suite may be harmed
beyond its margin.
"""

from collections.abc import Iterator

from mlops_assets.core.policy import Policy
from mlops_assets.core.records.base import Check
from mlops_assets.core.records.decision import AnalystReply, Evidence, ReviewAnswer
from mlops_assets.core.records.evaluation import Comparison
from mlops_assets.lifecycle.decide.gates import gates, opened_set, primary, sets_of
from mlops_assets.lifecycle.decide.hearing import heard
from mlops_assets.lifecycle.decide.promoting import large_enough, promotable
from mlops_assets.lifecycle.decide.ruling import (
    GAIN,
    JUDGEABLE,
    NOT_WORSE,
    PROMOTABLE,
    Ruling,
    change,
    question,
    served,
)


def verdict(
    evidence: Evidence, policy: Policy, review: ReviewAnswer | None = None, reply: AnalystReply | None = None
) -> Ruling:
    """Return the ruling; `reply` can lower it (see `hearing`), `review` settles a HUMAN_REVIEW and nothing else."""
    applied = gates(evidence, policy)
    failed = [gate.explanation for gate in applied if not gate.passed]
    if failed:
        seen = [f"{change(each)}." for each in _golden(evidence, policy)]
        return Ruling(verdict="REJECT", reasons=(*failed, *seen, *_confused(evidence)), gates=applied)
    ruling = heard(_rule(evidence, policy, applied), reply, evidence, policy)
    if ruling.verdict != "HUMAN_REVIEW" or review is None:
        return ruling
    word = "approved" if review.approve else "rejected"
    return ruling.model_copy(
        update={
            "verdict": "APPROVE" if review.approve else "REJECT",
            "reasons": (f"{review.reviewer} {word} it: {review.reason.rstrip('.')}.", *ruling.reasons),
        }
    )


def _rule(evidence: Evidence, policy: Policy, applied: tuple[Check, ...]) -> Ruling:
    """Apply every condition of an approval; the name's first word says what a failed one means."""
    checks = (*_judgeable(evidence, policy), *_not_worse(evidence, policy), *promotable(evidence, policy))

    def failed(kind: str) -> tuple[str, ...]:
        return tuple(check.explanation for check in checks if check.name.startswith(kind) and not check.passed)

    blocked = failed(JUDGEABLE)
    if not blocked and (worse := failed(NOT_WORSE)):
        return Ruling(verdict="REJECT", reasons=(*worse, *_confused(evidence)), gates=applied, statistics=checks)
    doubts = blocked + failed(PROMOTABLE)
    gains = tuple(check.explanation for check in checks if check.passed and check.name.startswith(GAIN))
    if not doubts:
        return Ruling(verdict="APPROVE", reasons=gains, gates=applied, statistics=checks)
    reasons = (*doubts, *gains, *_confused(evidence), *_power(evidence, policy))
    asked = question(evidence, reasons)
    return Ruling(verdict="HUMAN_REVIEW", reasons=reasons, gates=applied, statistics=checks, question=asked)


def _judgeable(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    first = evidence.production is None
    yield Check(
        name=f"{JUDGEABLE}: production",
        passed=not first and "production" in evidence.systems,
        observed=None if first else evidence.production_version,
        explanation=f"{evidence.line} has no version yet: a first version is a person's decision."
        if first
        else f"Production is version {evidence.production_version}."
        if "production" in evidence.systems
        else f"Version {evidence.production_version}, which serves, could not be evaluated; nothing to compare with.",
    )
    golden = [each for each in evidence.sets if each.kind == "golden"]
    if not golden:
        yield Check(
            name=f"{JUDGEABLE}: golden set",
            passed=False,
            explanation="No golden set was evaluated; declare one in the line's YAML.",
        )
    for each in golden:
        yield large_enough(f"{JUDGEABLE}: size of {each.name}", each, policy)
        comparison = primary(evidence, policy, each.name)
        known = comparison is not None and None not in (comparison.delta, comparison.lower, comparison.upper)
        yield Check(
            name=f"{JUDGEABLE}: {policy.primary.metric} on {each.name}",
            passed=known,
            explanation=f"{policy.primary.metric} of candidate and production was "
            f"{'measured' if known else 'not measured'} on {each.name}.",
        )


def _not_worse(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    margin, opened = policy.primary.margin, opened_set(evidence)
    told = [*_golden(evidence, policy)]
    if opened is not None and large_enough("", opened, policy).passed:
        told += [found for found in [primary(evidence, policy, opened.name)] if found is not None]
    for comparison in told:
        if comparison.upper is not None:
            yield Check(
                name=f"{NOT_WORSE}: {comparison.metric} on {comparison.set_name}",
                passed=comparison.upper >= -margin,
                observed=comparison.upper,
                limit=-margin,
                explanation=f"{change(comparison)}; even at its best the gain has to reach {-margin:+.4f}.",
            )


def _power(evidence: Evidence, policy: Policy) -> Iterator[str]:
    """Say what the golden set could have shown, and what it would take to know."""
    for comparison in _golden(evidence, policy):
        if comparison.detectable is None:
            continue
        found = (
            f"With {comparison.n} items, {comparison.set_name} finds a change of {comparison.detectable:.4f} in "
            f"{comparison.metric} or more with 80 % power"
        )
        needed = comparison.items_needed
        if needed is not None and needed > comparison.n:
            more = needed - comparison.n
            yield f"{found}; to find the margin of {policy.primary.margin:.4f} it needs {more} more items."
        else:
            yield f"{found}."


def _confused(evidence: Evidence) -> Iterator[str]:
    """Name the confusion that grew most on each golden set, if it surely grew."""
    golden = sets_of(evidence, "golden")
    for each in evidence.confusions:
        grown = (pair for pair in each.pairs if pair.lower is not None and pair.lower > 0)
        pair = next(grown, None) if each.set_name in golden else None
        if pair is not None and pair.production is not None and pair.delta is not None:
            yield (
                f"It takes {pair.label} for {pair.predicted} {pair.delta:.0%} more often than {served(evidence)}: "
                f"{pair.candidate:.0%} of {pair.n} items instead of {pair.production:.0%}."
            )


def _golden(evidence: Evidence, policy: Policy) -> list[Comparison]:
    found = (primary(evidence, policy, name) for name in sets_of(evidence, "golden"))
    return [each for each in found if each is not None]
