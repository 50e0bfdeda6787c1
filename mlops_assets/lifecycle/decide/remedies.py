"""What would help a candidate that was not simply approved, and what would have to be true to approve it."""

import statistics
from collections.abc import Iterator

from mlops_assets.core.policy import Policy
from mlops_assets.core.records.base import Check
from mlops_assets.core.records.decision import Evidence
from mlops_assets.lifecycle.decide.causes import (
    SHOWN,
    as_said,
    harmed_slices,
    named,
    still_needed,
    unclear_gains,
    worse_classes,
)
from mlops_assets.lifecycle.decide.gates import measured, sets_of
from mlops_assets.lifecycle.decide.ruling import JUDGEABLE, NOT_WORSE, PROMOTABLE, Ruling
from mlops_assets.lifecycle.evaluation.report import OF_A_CLASS

FEW = 2 / 3  # of the median label's items: below it, a label lacks items rather than right labels
BOUNDED = ("gain in", "critical suite", "protected slice")


def remedies(evidence: Evidence, policy: Policy, ruling: Ruling) -> Iterator[str]:
    """Yield what would help, the surest first; a sentence may come twice."""
    failed = {
        check.name.rpartition(": ")[2]: check for check in (*ruling.gates, *ruling.statistics) if not check.passed
    }
    if "serving" in failed:
        yield "A repaired export: the quarantine bundle holds the log of the process that did not answer."
    for name, word in (("latency", "faster"), ("size", "smaller")):
        if name in failed:
            yield f"A {word} export: {failed[name].observed:.2f} times production's; {failed[name].limit} is allowed."
    for each in evidence.contributors:
        if each.outlier:
            yield f"A label check of the {each.items} items of contributor {named(each.contributor)}."
    yield from _more_of_labels(evidence)
    for each in harmed_slices(evidence)[:SHOWN]:
        kind, _, label = each.slice.partition(":")
        if kind != "label" or label not in evidence.labels:
            yield f"More {_things(evidence)} of {named(each.slice)} to train on: it is harmed on {each.set_name}."
    for needed in (policy.data.min_items, policy.min_items_to_promote):
        if evidence.kept < needed:
            yield f"{needed - evidence.kept} more usable items in the batch: it has {evidence.kept} of {needed}."
            break
    if "dropped items" in failed or "data quality" in failed:
        yield from _mended(evidence)
    yield from _more_to_judge_by(evidence, policy)
    trained = len(evidence.noise.seeds) if evidence.noise else 1
    if trained < policy.min_seeds:
        yield f"Trainings of the recipe with other seeds: {policy.min_seeds - trained} more."


def _more_of_labels(evidence: Evidence) -> Iterator[str]:
    """Ask for as many items of a harmed label as the batch has of its commonest one, or for a check of its labels."""
    harmed = [row.metric.partition(OF_A_CLASS)[2] for row in worse_classes(evidence)]
    pairs = [pair for each in evidence.confusions for pair in each.pairs if pair.lower is not None and pair.lower > 0]
    harmed += [pair.label for pair in pairs]
    harmed += [each.slice.removeprefix("label:") for each in harmed_slices(evidence) if each.slice.startswith("label:")]
    known = [label for label in dict.fromkeys(harmed) if label in evidence.labels]
    for label in known[:SHOWN]:
        count = evidence.labels[label]
        commonest = max(evidence.labels, key=lambda name: evidence.labels[name])
        if count < FEW * statistics.median(evidence.labels.values()):
            yield (
                f"About {evidence.labels[commonest] - count} more items of {named(label)}: the batch has {count}, of "
                f"{named(commonest)} {evidence.labels[commonest]}."
            )
        elif count:
            others = sorted({named(pair.predicted) for pair in pairs if pair.label == label})
            against = f" against {', '.join(others)}" if others else ""
            yield f"A check of the labels of {named(label)}{against}: {count} items of the batch have it."


def _more_to_judge_by(evidence: Evidence, policy: Policy) -> Iterator[str]:
    for each in evidence.sets:
        short = policy.gates.min_golden_items - each.n
        if each.kind == "golden" and short > 0:
            yield f"Fresh golden items: {short} more, to have the {policy.gates.min_golden_items} that can decide."
    for row in unclear_gains(evidence, policy):
        more = still_needed(row)
        if more:
            yield f"Fresh golden items: {more} more on {row.set_name}, of new speakers or users."
    for each in policy.protected:
        for name in sets_of(evidence, "golden"):
            row = measured(evidence, each.metric, name, each.slice)
            if row is not None and row.lower is not None and row.lower <= -each.margin and (more := still_needed(row)):
                yield f"Golden items of {named(each.slice)}: {more} more, to know whether it is harmed."
    if evidence.looks > policy.looks_budget:
        yield f"A fresh golden version: this one was looked at {evidence.looks} times of {policy.looks_budget}."
    if evidence.openings > policy.openings_budget:
        yield f"A fresh sealed set: this one was opened {evidence.openings} times of {policy.openings_budget}."


def _mended(evidence: Evidence) -> Iterator[str]:
    if evidence.dropped:
        code = max(evidence.dropped, key=lambda name: evidence.dropped[name])
        yield f"The {evidence.dropped[code]} items that {named(code)} drops, mended and submitted again."


def wanted(check: Check, evidence: Evidence) -> str:
    """Return what would have to be true for a failed check to hold, with its number."""
    kind, _, subject = check.name.partition(": ")
    if kind not in (JUDGEABLE, NOT_WORSE, PROMOTABLE):
        kind, subject = "", check.name
    subject, explanation = as_said(subject, evidence), as_said(check.explanation, evidence)
    said = f"{subject[:1].upper()}{subject[1:]}"
    observed, limit = check.observed, check.limit
    if subject in ("production", "automatic deployment"):
        return f"A person has to decide: {explanation}"
    if not isinstance(observed, int | float) or not isinstance(limit, int | float):
        return f"{said}: {explanation}"
    if kind == NOT_WORSE:
        return f"Even the upper bound of the gain in {subject} is {observed:+.4f}; it has to reach {limit:+.4f}."
    if subject.startswith(BOUNDED):
        of = subject if subject.startswith("gain in") else f"gain on the {subject}"
        if observed > limit:
            return f"{said}: {explanation}"
        return f"The lower bound of the {of} has to exceed {limit:+.4f}; it is {observed:+.4f}."
    return f"{said}: {'at least' if observed < limit else 'at most'} {limit:g} (now {observed:.4g})."


def _things(evidence: Evidence) -> str:
    candidate = evidence.systems.get("candidate")
    return "recordings" if candidate is not None and "audio" in candidate.unit else "items"
