"""Why a candidate was not simply approved, from the evidence alone.

A cause is named only where its bound excludes zero (or Holm's correction lets it stand); what the numbers cannot tell
is said to be unclear, with what it would take to know. A class, slice, speaker or pair is never blamed for a difference
that chance explains.
"""

from collections.abc import Iterator

from mlops_assets.core.digests import sha256_bytes
from mlops_assets.core.policy import Policy
from mlops_assets.core.records.base import Check
from mlops_assets.core.records.decision import Cause, Evidence
from mlops_assets.core.records.evaluation import Comparison, Scanned
from mlops_assets.lifecycle.decide.gates import measured, primary, sets_of
from mlops_assets.lifecycle.decide.pseudonyms import plain
from mlops_assets.lifecycle.decide.ruling import Ruling
from mlops_assets.lifecycle.evaluation.report import OF_A_CLASS, confusion_sentences
from mlops_assets.lifecycle.pages import percent

SHOWN = 5
SENTENCE, NAME = 600, 80
DATA_GATES = ("items", "data quality", "dropped items")
PEOPLE = ("speaker", "user", "voice")
TOLD_ELSEWHERE = ("no slice harmed", "contributor ")
KINDS_OF_STATISTICS = {
    "production": "person",
    "automatic deployment": "person",
    "items": "data",
    "share of contributors": "data",
    "golden set": "power",
    "size of": "power",
    "looks": "power",
    "openings": "power",
    "critical suite": "slice",
    "protected slice": "slice",
    "slice": "slice",
}


def causes_of(evidence: Evidence, policy: Policy, ruling: Ruling) -> Iterator[Cause]:
    """Yield the causes, the gravest first."""
    if all(check.passed for check in (*ruling.gates, *ruling.statistics)):
        wish = "asks for a person's look" if ruling.verdict == "HUMAN_REVIEW" else "rejects it"
        yield Cause(kind="person", subject="analyst", text=f"Every check holds; the analyst {wish}.")
    yield from _gates(evidence, ruling)
    yield from _statistics(evidence, ruling)
    yield from _slices(evidence)
    yield from _classes(evidence)
    yield from _confusions(evidence)
    yield from _contributors(evidence)
    yield from _speakers(evidence)
    yield from _data(evidence, policy)
    yield from _power(evidence, policy)
    yield from _items(evidence)


def _gates(evidence: Evidence, ruling: Ruling) -> Iterator[Cause]:
    for check in ruling.gates:
        if not check.passed:
            kind = "infra" if check.name == "serving" else "data" if check.name in DATA_GATES else "gate"
            yield Cause(kind=kind, subject=check.name, text=f"{as_said(check.explanation, evidence)}{_missed(check)}")


def _statistics(evidence: Evidence, ruling: Ruling) -> Iterator[Cause]:
    for check in ruling.statistics:
        _, _, subject = check.name.partition(": ")
        if not check.passed and not subject.startswith(TOLD_ELSEWHERE):
            kind = next((kind for start, kind in KINDS_OF_STATISTICS.items() if subject.startswith(start)), "metric")
            found = {"kind": kind, "subject": as_said(subject, evidence), "text": as_said(check.explanation, evidence)}
            yield Cause.model_validate(found)


def _slices(evidence: Evidence) -> Iterator[Cause]:
    harmed = harmed_slices(evidence)
    for each in harmed[:SHOWN]:
        yield Cause(
            kind="speaker" if each.slice.partition(":")[0] in PEOPLE else "slice",
            subject=named(each.slice),
            text=f"{named(each.slice)} of {each.set_name} is harmed: {each.metric} is {abs(each.delta):.4f} worse than "
            f"in {_before(evidence)} (n={each.n}, {each.clusters} speakers or users; p {each.adjusted:.2g}, corrected "
            f"for all slices{_origin(evidence, each.set_name)}).",
        )
    if harmed[SHOWN:]:
        rest = len(harmed) - SHOWN
        yield Cause(kind="slice", subject="more slices", text=f"So are {rest} more slices; the page lists them.")


def _classes(evidence: Evidence) -> Iterator[Cause]:
    for row in worse_classes(evidence)[:SHOWN]:
        metric, _, label = row.metric.partition(OF_A_CLASS)
        yield Cause(
            kind="class",
            subject=named(label),
            text=f"{metric} of {named(label)} on {row.set_name} went from {row.production:.4f} in {_before(evidence)} "
            f"to {row.candidate:.4f} (gain between {row.lower:+.4f} and {row.upper:+.4f}, n={row.n}"
            f"{_origin(evidence, row.set_name)}).",
        )


def _confusions(evidence: Evidence) -> Iterator[Cause]:
    grown = [(text, pair) for text, pair in confusion_sentences(evidence) if pair.delta is not None and pair.delta > 0]
    for text, pair in grown[:SHOWN]:
        yield Cause(kind="confusion", subject=f"{named(pair.label)} for {named(pair.predicted)}", text=text)


def _contributors(evidence: Evidence) -> Iterator[Cause]:
    for each in evidence.contributors:
        if each.outlier:
            yield Cause(
                kind="data",
                subject=named(each.contributor),
                text=f"{_before(evidence)} answers {percent(each.disagreement or 0)} of the {each.items} items of "
                f"contributor {named(each.contributor)} otherwise than they are labelled, more than the rest's"
                f"{'' if each.adjusted is None else f' (p {each.adjusted:.2g}, corrected for all contributors)'}.",
            )


def _speakers(evidence: Evidence) -> Iterator[Cause]:
    """Name the clusters without which the difference would have the other sign."""
    turned = []
    for each in evidence.slices.clusters if evidence.slices else ():
        whole = measured(evidence, each.metric, each.set_name)
        if whole is None or whole.delta is None or each.without is None or (whole.delta < 0) == (each.without < 0):
            continue
        turned.append((abs(whole.delta - each.without), each, whole.delta))
    for _, each, delta in sorted(turned, key=lambda found: -found[0])[:SHOWN]:
        yield Cause(
            kind="speaker",
            subject=named(each.cluster),
            text=f"Without {named(each.cluster)} ({each.n} items) the gain in {each.metric} on {each.set_name} would "
            f"be {each.without:+.4f} instead of {delta:+.4f}{_origin(evidence, each.set_name)}.",
        )


def _data(evidence: Evidence, policy: Policy) -> Iterator[Cause]:
    if evidence.dropped:
        ordered = sorted(evidence.dropped.items(), key=lambda found: (-found[1], found[0]))
        counts = ", ".join(f"{count} for {named(code)}" for code, count in ordered[:SHOWN])
        yield Cause(
            kind="data",
            subject="dropped items",
            text=f"{sum(evidence.dropped.values())} items of the batch were dropped "
            f"({percent(evidence.dropped_share)}): {counts}.",
        )
    recommended = policy.data.recommended_per_label
    rare = {label: count for label, count in evidence.labels.items() if count < recommended}
    if rare:
        counts = ", ".join(f"{count} of {named(label)}" for label, count in list(rare.items())[:SHOWN])
        yield Cause(
            kind="data",
            subject="labels",
            text=f"The batch has few items of some labels: {counts}; {recommended} of each are recommended.",
        )


def _power(evidence: Evidence, policy: Policy) -> Iterator[Cause]:
    for row in unclear_gains(evidence, policy):
        text = (
            f"The gain in {row.metric} on {row.set_name} is unclear: with {row.n} items the smallest true change "
            f"that is found with 80 % power is {row.detectable:.4f}"
        )
        more = still_needed(row)
        needed = f"; to find the margin of {policy.primary.margin:.4f}, {more} more items are needed" if more else ""
        data = "" if row.origin == "real" else f" ({row.origin} data)"
        yield Cause(kind="power", subject=row.set_name, text=f"{text}{needed}{data}.")


def _items(evidence: Evidence) -> Iterator[Cause]:
    lost = sorted((each for each in evidence.items if each.change < 0), key=lambda each: each.change)[:SHOWN]
    if lost:
        shown = ", ".join(f"{named(each.item)} of {each.set_name} ({each.change:+.3g})" for each in lost)
        subject = ", ".join(named(each.item) for each in lost)
        yield Cause(kind="item", subject=subject, text=f"The items that lost most: {shown}.")


def harmed_slices(evidence: Evidence) -> list[Scanned]:
    """Return the slices that are harmed beyond chance, the worst first."""
    scanned = (*evidence.scan, *(evidence.slices.scan if evidence.slices else ()))
    found = {(each.set_name, each.slice, each.metric): each for each in scanned if each.harmed and each.delta < 0}
    return sorted(found.values(), key=lambda each: (each.delta, each.slice))


def worse_classes(evidence: Evidence) -> list[Comparison]:
    """Return the per-class comparisons whose upper bound is below zero, the worst first."""
    rows = [
        row
        for row in evidence.comparisons
        if OF_A_CLASS in row.metric and row.slice is None and row.upper is not None and row.upper < 0
        if row.production is not None and row.lower is not None
    ]
    return sorted(rows, key=lambda row: (row.delta or 0.0, row.metric))


def unclear_gains(evidence: Evidence, policy: Policy) -> Iterator[Comparison]:
    """Yield the deciding comparisons whose bounds include zero, and whose power is known."""
    for name in sets_of(evidence, "golden", "sealed"):
        row = primary(evidence, policy, name)
        if row is None or row.detectable is None or row.lower is None or row.upper is None:
            continue
        worst = row.lower if row.gain_lower is None else min(row.lower, row.gain_lower)
        if worst <= 0 <= row.upper:
            yield row


def still_needed(row: Comparison) -> int:
    """Return how many more items it takes to find the margin; 0 where that is not known."""
    return max((row.items_needed or 0) - row.n, 0)


def _missed(check: Check) -> str:
    if isinstance(check.observed, int | float) and isinstance(check.limit, int | float):
        return f" It misses by {abs(check.observed - check.limit):.3g}."
    return ""


def _before(evidence: Evidence) -> str:
    return "production" if evidence.production_version is None else f"v{evidence.production_version}"


def _origin(evidence: Evidence, set_name: str) -> str:
    origin = next((each.origin for each in evidence.sets if each.name == set_name), "real")
    return "" if origin == "real" else f", {origin} data"


def named(text: str) -> str:
    """Return a name that may stand in a sentence; of one that may not, its length and the start of its sha256.

    A name may come from a batch. Whoever hides names from a language model finds those of the evidence, letter by
    letter: so none stands here cut or mended.
    """
    if text == plain(text, NAME):
        return text
    return f"(a name of {len(text)} characters, sha256 {sha256_bytes(text.encode())[:8]})"


def as_said(text: str, evidence: Evidence) -> str:
    """Return what a check says, on one line, with contributors by names that may stand in a sentence."""
    for each in evidence.contributors:
        if each.contributor.strip():
            text = text.replace(each.contributor, named(each.contributor))
    return plain(text, SENTENCE)
