"""What a promotion without a person takes, beyond a candidate that can be judged and is not worse.

A gain is real if its lower bound, at the error that one look at the set may spend (Bonferroni over the looks in the
set's life), exceeds the least gain; on the golden set, and on the sealed one where the line has it. It must also be a
step of the ladder: at least its margin, and one standard error (Blum & Hardt 2015).
"""

from collections.abc import Iterator

from mlops_assets.core.policy import Policy
from mlops_assets.core.records.base import Check
from mlops_assets.core.records.decision import Evidence
from mlops_assets.core.records.evaluation import Comparison, SetResult
from mlops_assets.lifecycle.decide.gates import measured, opened_set, primary, sets_of, suites
from mlops_assets.lifecycle.decide.ruling import GAIN, PROMOTABLE, change

EVENTS = "events"  # the source of batches that `gathering` makes
MIN_CLUSTERS = 8  # fewer cannot stand for the speakers or users that are to come, whatever their bounds say
SEALED = f"{PROMOTABLE}: sealed set confirms"
SEEDS = f"{PROMOTABLE}: seeds"
AUTOMATIC = f"{PROMOTABLE}: automatic deployment"
ROUNDING = 1e-9


def promotable(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    """Yield every condition of a promotion; one that fails asks a person."""
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
        passed=0 < evidence.looks <= policy.looks_budget,
        observed=evidence.looks,
        limit=policy.looks_budget,
        explanation=f"This golden set was looked at {evidence.looks} times; its budget is {policy.looks_budget}: "
        "beyond it, add fresh items as a new golden version.",
    )
    if not policy.auto_deploy:
        yield Check(
            name=AUTOMATIC,
            passed=False,
            explanation=f"The policy of {evidence.line} asks a person to confirm every release (auto_deploy: false).",
        )
    elif evidence.source == EVENTS and not policy.auto_approve_finetuning:
        yield Check(
            name=AUTOMATIC,
            passed=False,
            explanation=f"It was trained on what users of {evidence.line} reported; a person confirms that it is "
            "released (auto_approve_finetuning: false).",
        )
    for each in evidence.sets:
        found = primary(evidence, policy, each.name)
        if each.kind == "golden" and found is not None:
            yield _gain(each, found, evidence, policy)
    yield from _unharmed_parts(evidence, policy)
    yield from _contributed(evidence, policy)
    yield from _trained_again(evidence, policy)
    yield from _confirmed(evidence, policy)


def _gain(seen: SetResult, comparison: Comparison, evidence: Evidence, policy: Policy) -> Check:
    """The gain on the primary metric is real, or a business metric gains while the primary is not worse."""
    least, margin = policy.gates.min_wer_improvement, policy.primary.margin
    lacks = _lacks(seen, comparison, margin, least, evidence, policy)
    harmless = comparison.lower is not None and comparison.lower > -margin
    business = [
        found
        for each in policy.business
        if (found := measured(evidence, each.metric, comparison.set_name)) is not None
        if not _lacks(seen, found, each.margin, 0.0, evidence, policy)
    ]
    instead = harmless and bool(business)
    explanation = f"{change(comparison)}; {lacks or 'the gain is real, and large enough to count'}."
    if lacks and instead:
        explanation = f"{change(comparison)}, so it is not worse by {margin:.4f}; " + "; ".join(map(change, business))
        explanation += "."
    return Check(
        name=f"{GAIN} {comparison.metric} on {seen.name}",
        passed=not lacks or instead,
        observed=comparison.gain_lower if policy.gates.require_significance else comparison.delta,
        limit=least,
        explanation=explanation,
    )


def _lacks(seen: SetResult, gain: Comparison, margin: float, least: float, evidence: Evidence, policy: Policy) -> str:
    """Say what a gain lacks to justify an approval; nothing if it does."""
    if gain.delta is None or gain.error is None or gain.lower is None:
        return "how sure the gain is was not measured"
    if policy.gates.require_significance:
        allowed = policy.gain_alpha(seen.kind, sealed=evidence.sealed is not None)
        if gain.gain_lower is None or seen.gain_alpha is None or allowed is None:
            return "the gain's lower bound at the error that one look may spend was not measured"
        if seen.gain_alpha > allowed * (1 + ROUNDING):
            return f"its bound was made at an error of {seen.gain_alpha:.4g}, and one look may spend {allowed:.4g}"
        if gain.gain_lower <= least:
            return (
                f"the gain's lower bound at the error one look may spend, {gain.gain_lower:+.4f}, does not exceed "
                + (f"{least:.4f}")
            )
    elif not (gain.delta > least and gain.lower > -margin):
        return f"the gain does not exceed {least:.4f}, or may be a loss beyond {margin:.4f}"
    step = max(margin, gain.error)
    if gain.delta < step:
        return f"it is smaller than {step:.4f}, the least difference that is worth a look (margin, standard error)"
    return ""


def _unharmed_parts(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    for name in sets_of(evidence, "critical"):
        found = primary(evidence, policy, name)
        yield _unharmed(f"critical suite {name}", policy.primary.metric, found, policy.critical_margin)
    if not policy.gates.fail_on_critical_degradation:
        for check in suites(evidence, policy, "critical"):
            yield check.model_copy(update={"name": f"{PROMOTABLE}: {check.name}"})
    for each in policy.protected:
        for name in sets_of(evidence, "golden"):
            found = measured(evidence, each.metric, name, each.slice)
            yield _unharmed(f"protected slice {each.slice} of {name}", each.metric, found, each.margin)
    scan = (*evidence.scan, *(evidence.slices.scan if evidence.slices else ()))
    if scan:
        harmed = [each for each in scan if each.harmed]
        said = "; ".join(
            f"{each.metric} on {each.slice} of {each.set_name} is {-each.delta:.4f} worse (n={each.n}, "
            f"p={each.adjusted:.2g} after Holm)"
            for each in harmed
        )
        yield Check(
            name=f"{PROMOTABLE}: no slice harmed",
            passed=not harmed,
            observed=len(harmed),
            limit=0,
            explanation=f"Of {len(scan)} slices, {len(harmed)} surely lost: {said}."
            if harmed
            else f"None of {len(scan)} slices surely lost (Holm).",
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
        explanation=f"On the {what}, {change(comparison)}; the gain's lower bound has to exceed {-margin:+.4f}.",
    )


def _contributed(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    """No contributor has too much of the batch, and none is one whom production contradicts more than the others."""
    limit = policy.data.max_contributor_share
    if limit < 1:
        largest = max(evidence.contributors, key=lambda each: each.share, default=None)
        yield Check(
            name=f"{PROMOTABLE}: share of contributors",
            passed=largest is not None and largest.share <= limit * (1 + ROUNDING),
            observed=None if largest is None else largest.share,
            limit=limit,
            explanation="How much each contributor has of the batch was not measured."
            if largest is None
            else f"{largest.contributor} has {largest.share:.1%} of the batch; {limit:.1%} is allowed.",
        )
    for each in evidence.contributors:
        if each.outlier:
            yield Check(
                name=f"{PROMOTABLE}: contributor {each.contributor}",
                passed=False,
                observed=each.disagreement,
                explanation=f"Production answers {each.disagreement or 0:.1%} of the {each.items} items of "
                f"{each.contributor} otherwise, surely more than of the others': look at the labels.",
            )


def _trained_again(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    """The gain is the recipe's, not a seed's luck."""
    noise, wanted = evidence.noise, policy.min_seeds
    if wanted == 1 and noise is None:
        return
    count = len(noise.seeds) if noise else 1
    lower = noise.lower if noise else None
    yield Check(
        name=SEEDS,
        passed=count >= wanted and lower is not None and lower > 0,
        observed=count if count < wanted else lower,
        limit=wanted if count < wanted else 0.0,
        explanation=f"The recipe was trained with {count} seeds; a promotion without a person needs {wanted}."
        if noise is None or count < wanted
        else f"Over {count} seeds the gain in {noise.metric} on {noise.set_name} is {noise.mean:+.4f} "
        f"(deviation {noise.deviation:.4f}); its lower bound, "
        + (f"{lower:+.4f}, " if lower is not None else "which was not measured, ")
        + "has to exceed 0.",
    )


def _confirmed(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    """The sealed set, which nobody looked at before, shows the same gain."""
    if evidence.sealed is None:
        return
    opened = opened_set(evidence)
    yield Check(
        name=f"{PROMOTABLE}: openings",
        passed=(opened is None or evidence.openings > 0) and evidence.openings <= policy.openings_budget,
        observed=evidence.openings,
        limit=policy.openings_budget,
        explanation=f"The sealed set was opened {evidence.openings} times; its budget is {policy.openings_budget}: "
        "beyond it, seal fresh items.",
    )
    found = opened and primary(evidence, policy, opened.name)
    yield Check(
        name=SEALED,
        passed=found is not None,
        explanation=f"The sealed set was not opened for it: all of its {policy.openings_budget} openings are used up."
        if found is None and evidence.openings >= policy.openings_budget
        else "The sealed set was not opened: that is for a candidate that would be promoted otherwise."
        if found is None
        else f"The sealed set was opened for this candidate: {change(found)}.",
    )
    if opened is not None and found is not None:
        yield large_enough(f"{PROMOTABLE}: size of {opened.name}", opened, policy)
        yield _gain(opened, found, evidence, policy)


def large_enough(name: str, seen: SetResult, policy: Policy) -> Check:
    """Say whether a set has the items, and the clusters, to decide by numbers."""
    limit = policy.gates.min_golden_items
    return Check(
        name=name,
        passed=seen.n >= limit and seen.clusters >= MIN_CLUSTERS,
        observed=f"{seen.n} items, {seen.clusters} clusters",
        limit=f"{limit} items, {MIN_CLUSTERS} clusters",
        explanation=f"The {seen.kind} set {seen.name} has {seen.n} items of {seen.clusters} speakers or users; "
        f"{limit} items of {MIN_CLUSTERS} are needed to decide by numbers.",
    )
