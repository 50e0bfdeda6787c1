"""The statistical rule, and the verdict as a pure function of evidence, policy and a person's answer.

Every difference is oriented so that positive means the candidate is better; L and U are its one-sided bounds, m the
policy's non-inferiority margin. A failed gate rejects, whatever else is true. Then, fail closed: what cannot be judged
(no production, a golden set too small, a number that is missing) goes to a person. U < -m rejects. What remains is
approved only if the gain is real and no protected slice or critical suite may be harmed beyond its margin.
"""

from collections.abc import Iterator

from mlops_assets.core.policy import Policy
from mlops_assets.core.records import AnalystReply, Check, Comparison, Evidence, ReviewAnswer
from mlops_assets.lifecycle.decide.gates import gates, measured, primary, sets_of
from mlops_assets.lifecycle.decide.ruling import JUDGEABLE, NOT_WORSE, PROMOTABLE, Ruling

MIN_CLUSTERS = 8  # below it, a percentile bootstrap over clusters is too narrow to be believed


def verdict(
    evidence: Evidence, policy: Policy, review: ReviewAnswer | None = None, reply: AnalystReply | None = None
) -> Ruling:
    """Return the ruling; `review` settles a HUMAN_REVIEW and has no say in anything else."""
    applied = gates(evidence, policy)
    failed = [gate.explanation for gate in applied if not gate.passed]
    if failed:
        seen = [f"{_change(each)}." for each in _golden(evidence, policy)]
        return Ruling(verdict="REJECT", reasons=(*failed, *seen, *_confused(evidence)), gates=applied)
    checks = statistics(evidence, policy)
    ruling = _rule(evidence, policy, applied, checks)
    if ruling.verdict != "HUMAN_REVIEW" or review is None:
        return ruling
    word = "approved" if review.approve else "rejected"
    return ruling.model_copy(
        update={
            "verdict": "APPROVE" if review.approve else "REJECT",
            "reasons": (f"{review.reviewer} {word} it: {review.reason}", *ruling.reasons),
        }
    )


def statistics(evidence: Evidence, policy: Policy) -> tuple[Check, ...]:
    """Apply every condition of an approval; the name's first word says what a failed one means."""
    return (*_judgeable(evidence, policy), *_not_worse(evidence, policy), *_promotable(evidence, policy))


def _rule(evidence: Evidence, policy: Policy, applied: tuple[Check, ...], checks: tuple[Check, ...]) -> Ruling:
    def failed(kind: str) -> tuple[str, ...]:
        return tuple(check.explanation for check in checks if check.name.startswith(kind) and not check.passed)

    blocked = failed(JUDGEABLE)
    if not blocked and (worse := failed(NOT_WORSE)):
        return Ruling(verdict="REJECT", reasons=(*worse, *_confused(evidence)), gates=applied, statistics=checks)
    doubts = blocked + failed(PROMOTABLE)
    gains = tuple(
        check.explanation for check in checks if check.passed and check.name.startswith(f"{PROMOTABLE}: gain")
    )
    if not doubts:
        return Ruling(verdict="APPROVE", reasons=gains, gates=applied, statistics=checks)
    reasons = (*doubts, *gains, *_confused(evidence), *_power(evidence, policy))
    question = f"Shall batch {evidence.batch_id} replace {_served(evidence)} of {evidence.line}? " + " ".join(reasons)
    return Ruling(verdict="HUMAN_REVIEW", reasons=reasons, gates=applied, statistics=checks, question=question)


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
        limit = policy.gates.min_golden_items
        yield Check(
            name=f"{JUDGEABLE}: size of {each.name}",
            passed=each.n >= limit and each.clusters >= MIN_CLUSTERS,
            observed=f"{each.n} items, {each.clusters} clusters",
            limit=f"{limit} items, {MIN_CLUSTERS} clusters",
            explanation=f"The golden set {each.name} has {each.n} items of {each.clusters} speakers or users; "
            f"{limit} items of {MIN_CLUSTERS} are needed to decide by numbers.",
        )
        comparison = primary(evidence, policy, each.name)
        known = comparison is not None and None not in (comparison.delta, comparison.lower, comparison.upper)
        yield Check(
            name=f"{JUDGEABLE}: {policy.primary.metric} on {each.name}",
            passed=known,
            explanation=f"{policy.primary.metric} of candidate and production was "
            f"{'measured' if known else 'not measured'} on {each.name}.",
        )


def _not_worse(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    for comparison in _golden(evidence, policy):
        margin = policy.primary.margin
        if comparison.upper is not None:
            yield Check(
                name=f"{NOT_WORSE}: {comparison.metric} on {comparison.set_name}",
                passed=comparison.upper >= -margin,
                observed=comparison.upper,
                limit=-margin,
                explanation=f"{_change(comparison)}; even at its best the gain has to reach {-margin:+.4f}.",
            )


def _promotable(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    yield Check(
        name=f"{PROMOTABLE}: items",
        passed=evidence.kept >= policy.min_items_to_promote,
        observed=evidence.kept,
        limit=policy.min_items_to_promote,
        explanation=f"The batch has {evidence.kept} usable items; {policy.min_items_to_promote} are needed to promote "
        "a model without a person.",
    )
    yield Check(
        name=f"{PROMOTABLE}: looks",
        passed=evidence.looks <= policy.looks_budget,
        observed=evidence.looks,
        limit=policy.looks_budget,
        explanation=f"This golden set was looked at {evidence.looks} times; its budget is {policy.looks_budget}: "
        "beyond it, add fresh items as a new golden version.",
    )
    if not policy.auto_deploy:
        yield Check(
            name=f"{PROMOTABLE}: automatic deployment",
            passed=False,
            explanation=f"The policy of {evidence.line} asks a person to confirm every release (auto_deploy: false).",
        )
    yield from (_gain(comparison, evidence, policy) for comparison in _golden(evidence, policy))
    for name in sets_of(evidence, "critical"):
        found = primary(evidence, policy, name)
        yield _unharmed(f"critical suite {name}", policy.primary.metric, found, policy.critical_margin)
    for each in policy.protected:
        for name in sets_of(evidence, "golden"):
            found = measured(evidence, each.metric, name, each.slice)
            yield _unharmed(f"protected slice {each.slice} of {name}", each.metric, found, each.margin)


def _gain(comparison: Comparison, evidence: Evidence, policy: Policy) -> Check:
    """The gain on the primary metric is real, or a business metric gains while the primary is not worse."""
    least, margin = policy.gates.min_wer_improvement, policy.primary.margin
    seen = comparison.lower if policy.gates.require_significance else comparison.delta
    harmless = comparison.lower is not None and comparison.lower > -margin
    gained = seen is not None and seen > least and (policy.gates.require_significance or harmless)
    business = [
        found
        for each in policy.business
        if (found := measured(evidence, each.metric, comparison.set_name)) and found.lower is not None
        if found.lower > 0
    ]
    wanted = "the gain's lower bound" if policy.gates.require_significance else "the gain"
    explanation = f"{_change(comparison)}; {wanted} {'exceeds' if gained else 'does not exceed'} {least:.4f}."
    if not gained and harmless and business:
        explanation = f"{_change(comparison)}, so it is not worse by {margin:.4f}; " + "; ".join(map(_change, business))
        explanation += "."
    return Check(
        name=f"{PROMOTABLE}: gain in {comparison.metric} on {comparison.set_name}",
        passed=gained or (harmless and bool(business)),
        observed=seen,
        limit=least,
        explanation=explanation,
    )


def _unharmed(what: str, metric: str, comparison: Comparison | None, margin: float) -> Check:
    if comparison is None or comparison.lower is None:
        return Check(
            name=f"{PROMOTABLE}: {what}",
            passed=False,
            limit=-margin,
            explanation=f"{metric} of candidate and production was not measured on the {what}.",
        )
    return Check(
        name=f"{PROMOTABLE}: {what}",
        passed=comparison.lower > -margin,
        observed=comparison.lower,
        limit=-margin,
        explanation=f"On the {what}, {_change(comparison)}; the gain's lower bound has to exceed {-margin:+.4f}.",
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
                f"It takes {pair.label} for {pair.predicted} {pair.delta:.0%} more often than {_served(evidence)}: "
                f"{pair.candidate:.0%} of {pair.n} items instead of {pair.production:.0%}."
            )


def _golden(evidence: Evidence, policy: Policy) -> list[Comparison]:
    found = (primary(evidence, policy, name) for name in sets_of(evidence, "golden"))
    return [each for each in found if each is not None]


def _change(comparison: Comparison) -> str:
    """Put a comparison into words: the two figures, the change, and the bounds of the gain (positive is better)."""
    said = f"{comparison.metric} on {comparison.set_name} is {comparison.candidate:.4f}"
    if comparison.production is None or comparison.delta is None:
        return said
    word = "better" if comparison.delta >= 0 else "worse"
    said += f" against {comparison.production:.4f} in production, {abs(comparison.delta):.4f} {word}"
    if comparison.lower is not None and comparison.upper is not None:
        said += f" (gain between {comparison.lower:+.4f} and {comparison.upper:+.4f}, n={comparison.n}"
        said += f", {comparison.origin} data)" if comparison.origin != "real" else ")"
    return said


def _served(evidence: Evidence) -> str:
    return "nothing (a first version)" if evidence.production is None else f"version {evidence.production_version}"
