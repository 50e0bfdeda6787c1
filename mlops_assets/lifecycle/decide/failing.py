"""Failure analysis: why a candidate was not simply approved and what would help, from the evidence alone.

Every sentence carries its own numbers. A cause is named only where its bound excludes zero (or Holm's correction lets
it stand); what the numbers cannot tell is said to be unclear, with what it would take to know. A class, slice, speaker
or pair is never blamed for a difference that chance explains.
"""

import statistics
from collections.abc import Iterable, Iterator
from itertools import chain

from mlops_assets.core.digests import sha256_bytes
from mlops_assets.core.policy import Policy
from mlops_assets.core.records.base import Check
from mlops_assets.core.records.decision import Cause, Decision, Evidence, FailureAnalysis
from mlops_assets.core.records.evaluation import Comparison, Scanned
from mlops_assets.lifecycle.decide.gates import measured, primary, sets_of
from mlops_assets.lifecycle.decide.pseudonyms import plain
from mlops_assets.lifecycle.decide.ruling import JUDGEABLE, NOT_WORSE, PROMOTABLE, Ruling
from mlops_assets.lifecycle.evaluation.report import OF_A_CLASS, confusion_sentences
from mlops_assets.lifecycle.pages import percent

PARAGRAPH = 900
SHOWN = 5
SENTENCE, NAME = 600, 80
FEW = 2 / 3  # of the median label's items: below it, a label lacks items rather than right labels
DATA_GATES = ("items", "data quality", "dropped items")
PEOPLE = ("speaker", "user", "voice")
BOUNDED = ("gain in", "critical suite", "protected slice")
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


def analyse(evidence: Evidence, policy: Policy, ruling: Ruling) -> FailureAnalysis:
    """Return causes, the gravest first, what would help, and what would have to be true to approve; pure."""
    causes = tuple(
        chain(
            _gates(evidence, ruling),
            _statistics(evidence, ruling),
            _slices(evidence),
            _classes(evidence),
            _confusions(evidence),
            _contributors(evidence),
            _speakers(evidence),
            _data(evidence, policy),
            _power(evidence, policy),
            _items(evidence),
        )
    )
    if not any(not check.passed for check in (*ruling.gates, *ruling.statistics)):
        wish = "asks for a person's look" if ruling.verdict == "HUMAN_REVIEW" else "rejects it"
        causes = (Cause(kind="person", subject="analyst", text=f"Every check holds; the analyst {wish}."), *causes)
    would_help = tuple(dict.fromkeys(_would_help(evidence, policy, ruling)))
    return FailureAnalysis(
        paragraph=_paragraph(evidence, ruling, causes, would_help),
        causes=causes,
        would_help=would_help,
        to_approve=tuple(_wanted(check, evidence) for check in (*ruling.gates, *ruling.statistics) if not check.passed),
    )


def alert_text(decision: Decision) -> str:
    """Return what an alert says of a decision: one paragraph of its analysis, and how to answer where it waits."""
    said = decision.analysis.paragraph if decision.analysis else " ".join(decision.reasons)
    if decision.review is not None and decision.analysis is not None:
        said = f"{decision.reasons[0]} {said}"
    if not decision.pending:
        return said
    known = decision.decision_id[:12]
    return (
        f"{said}\nThe evidence and what would have to be true: `mlops reviews show {known}`. "
        f"Answer: `mlops reviews approve {known} --reason TEXT`, or reject."
    )


def _gates(evidence: Evidence, ruling: Ruling) -> Iterator[Cause]:
    for check in ruling.gates:
        if not check.passed:
            kind = "infra" if check.name == "serving" else "data" if check.name in DATA_GATES else "gate"
            yield Cause(kind=kind, subject=check.name, text=f"{_said(check.explanation, evidence)}{_missed(check)}")


def _statistics(evidence: Evidence, ruling: Ruling) -> Iterator[Cause]:
    for check in ruling.statistics:
        _, _, subject = check.name.partition(": ")
        if not check.passed and not subject.startswith(TOLD_ELSEWHERE):
            kind = next((kind for start, kind in KINDS_OF_STATISTICS.items() if subject.startswith(start)), "metric")
            found = {"kind": kind, "subject": _said(subject, evidence), "text": _said(check.explanation, evidence)}
            yield Cause.model_validate(found)


def _slices(evidence: Evidence) -> Iterator[Cause]:
    harmed = _harmed(evidence)
    for each in harmed[:SHOWN]:
        yield Cause(
            kind="speaker" if each.slice.partition(":")[0] in PEOPLE else "slice",
            subject=_name(each.slice),
            text=f"{_name(each.slice)} of {each.set_name} is harmed: {each.metric} is {abs(each.delta):.4f} worse than "
            f"in {_before(evidence)} (n={each.n}, {each.clusters} speakers or users; p {each.adjusted:.2g}, corrected "
            f"for all slices{_origin(evidence, each.set_name)}).",
        )
    if harmed[SHOWN:]:
        rest = len(harmed) - SHOWN
        yield Cause(kind="slice", subject="more slices", text=f"So are {rest} more slices; the page lists them.")


def _classes(evidence: Evidence) -> Iterator[Cause]:
    for row in _worse_classes(evidence)[:SHOWN]:
        metric, _, label = row.metric.partition(OF_A_CLASS)
        yield Cause(
            kind="class",
            subject=_name(label),
            text=f"{metric} of {_name(label)} on {row.set_name} went from {row.production:.4f} in {_before(evidence)} "
            f"to {row.candidate:.4f} (gain between {row.lower:+.4f} and {row.upper:+.4f}, n={row.n}"
            f"{_origin(evidence, row.set_name)}).",
        )


def _confusions(evidence: Evidence) -> Iterator[Cause]:
    grown = [(text, pair) for text, pair in confusion_sentences(evidence) if pair.delta is not None and pair.delta > 0]
    for text, pair in grown[:SHOWN]:
        yield Cause(kind="confusion", subject=f"{_name(pair.label)} for {_name(pair.predicted)}", text=text)


def _contributors(evidence: Evidence) -> Iterator[Cause]:
    for each in evidence.contributors:
        if each.outlier:
            yield Cause(
                kind="data",
                subject=_name(each.contributor),
                text=f"{_before(evidence)} answers {percent(each.disagreement or 0)} of the {each.items} items of "
                f"contributor {_name(each.contributor)} otherwise than they are labelled, more than the rest's"
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
            subject=_name(each.cluster),
            text=f"Without {_name(each.cluster)} ({each.n} items) the gain in {each.metric} on {each.set_name} would "
            f"be {each.without:+.4f} instead of {delta:+.4f}{_origin(evidence, each.set_name)}.",
        )


def _data(evidence: Evidence, policy: Policy) -> Iterator[Cause]:
    if evidence.dropped:
        ordered = sorted(evidence.dropped.items(), key=lambda found: (-found[1], found[0]))
        counts = ", ".join(f"{count} for {_name(code)}" for code, count in ordered[:SHOWN])
        yield Cause(
            kind="data",
            subject="dropped items",
            text=f"{sum(evidence.dropped.values())} items of the batch were dropped "
            f"({percent(evidence.dropped_share)}): {counts}.",
        )
    recommended = policy.data.recommended_per_label
    rare = {label: count for label, count in evidence.labels.items() if count < recommended}
    if rare:
        counts = ", ".join(f"{count} of {_name(label)}" for label, count in list(rare.items())[:SHOWN])
        yield Cause(
            kind="data",
            subject="labels",
            text=f"The batch has few items of some labels: {counts}; {recommended} of each are recommended.",
        )


def _power(evidence: Evidence, policy: Policy) -> Iterator[Cause]:
    for row in _unclear(evidence, policy):
        text = (
            f"The gain in {row.metric} on {row.set_name} is unclear: with {row.n} items the smallest true change "
            f"that is found with 80 % power is {row.detectable:.4f}"
        )
        more = _still_needed(row)
        needed = f"; to find the margin of {policy.primary.margin:.4f}, {more} more items are needed" if more else ""
        data = "" if row.origin == "real" else f" ({row.origin} data)"
        yield Cause(kind="power", subject=row.set_name, text=f"{text}{needed}{data}.")


def _items(evidence: Evidence) -> Iterator[Cause]:
    lost = sorted((each for each in evidence.items if each.change < 0), key=lambda each: each.change)[:SHOWN]
    if lost:
        shown = ", ".join(f"{_name(each.item)} of {each.set_name} ({each.change:+.3g})" for each in lost)
        subject = ", ".join(_name(each.item) for each in lost)
        yield Cause(kind="item", subject=subject, text=f"The items that lost most: {shown}.")


def _would_help(evidence: Evidence, policy: Policy, ruling: Ruling) -> Iterator[str]:
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
            yield f"A label check of the {each.items} items of contributor {_name(each.contributor)}."
    yield from _more_of_labels(evidence)
    for each in _harmed(evidence)[:SHOWN]:
        kind, _, label = each.slice.partition(":")
        if kind != "label" or label not in evidence.labels:
            yield f"More {_things(evidence)} of {_name(each.slice)} to train on: it is harmed on {each.set_name}."
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
    harmed = [row.metric.partition(OF_A_CLASS)[2] for row in _worse_classes(evidence)]
    pairs = [pair for each in evidence.confusions for pair in each.pairs if pair.lower is not None and pair.lower > 0]
    harmed += [pair.label for pair in pairs]
    harmed += [each.slice.removeprefix("label:") for each in _harmed(evidence) if each.slice.startswith("label:")]
    known = [label for label in dict.fromkeys(harmed) if label in evidence.labels]
    for label in known[:SHOWN]:
        count = evidence.labels[label]
        commonest = max(evidence.labels, key=lambda name: evidence.labels[name])
        if count < FEW * statistics.median(evidence.labels.values()):
            yield (
                f"About {evidence.labels[commonest] - count} more items of {_name(label)}: the batch has {count}, of "
                f"{_name(commonest)} {evidence.labels[commonest]}."
            )
        elif count:
            others = sorted({_name(pair.predicted) for pair in pairs if pair.label == label})
            against = f" against {', '.join(others)}" if others else ""
            yield f"A check of the labels of {_name(label)}{against}: {count} items of the batch have it."


def _more_to_judge_by(evidence: Evidence, policy: Policy) -> Iterator[str]:
    for each in evidence.sets:
        short = policy.gates.min_golden_items - each.n
        if each.kind == "golden" and short > 0:
            yield f"Fresh golden items: {short} more, to have the {policy.gates.min_golden_items} that can decide."
    for row in _unclear(evidence, policy):
        more = _still_needed(row)
        if more:
            yield f"Fresh golden items: {more} more on {row.set_name}, of new speakers or users."
    for each in policy.protected:
        for name in sets_of(evidence, "golden"):
            row = measured(evidence, each.metric, name, each.slice)
            if row is not None and row.lower is not None and row.lower <= -each.margin and (more := _still_needed(row)):
                yield f"Golden items of {_name(each.slice)}: {more} more, to know whether it is harmed."
    if evidence.looks > policy.looks_budget:
        yield f"A fresh golden version: this one was looked at {evidence.looks} times of {policy.looks_budget}."
    if evidence.openings > policy.openings_budget:
        yield f"A fresh sealed set: this one was opened {evidence.openings} times of {policy.openings_budget}."


def _mended(evidence: Evidence) -> Iterator[str]:
    if evidence.dropped:
        code = max(evidence.dropped, key=lambda name: evidence.dropped[name])
        yield f"The {evidence.dropped[code]} items that {_name(code)} drops, mended and submitted again."


def _wanted(check: Check, evidence: Evidence) -> str:
    """Return what would have to be true for a failed check to hold, with its number."""
    kind, _, subject = check.name.partition(": ")
    if kind not in (JUDGEABLE, NOT_WORSE, PROMOTABLE):
        kind, subject = "", check.name
    subject, explanation = _said(subject, evidence), _said(check.explanation, evidence)
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


def _paragraph(evidence: Evidence, ruling: Ruling, causes: Iterable[Cause], would_help: tuple[str, ...]) -> str:
    """Say the verdict, the gravest cause of each kind, and the best help, in at most `PARAGRAPH` characters."""
    said = "was rejected" if ruling.verdict == "REJECT" else "was not approved without a person"
    text = f"Batch {evidence.batch_id} of {evidence.line} {said}."
    origins = {each.origin for each in (*evidence.sets, *evidence.comparisons)}
    some = " All of it is measured on synthetic data." if origins == {"synthetic"} else " Some of it is synthetic data."
    ending = "" if origins <= {"real"} else some
    if would_help:
        ending = " " + plain(f"What would help: {' '.join(would_help[:2])}", PARAGRAPH // 3) + ending
    gravest: dict[str, Cause] = {}
    for cause in causes:
        gravest.setdefault(cause.kind, cause)
    for at, cause in enumerate(gravest.values()):
        room = PARAGRAPH - len(text) - len(ending) - 1
        if len(cause.text) <= room:
            text += f" {cause.text}"
        elif at == 0:
            text += f" {plain(cause.text, room)}"
    return text + ending


def _harmed(evidence: Evidence) -> list[Scanned]:
    """Return the slices that are harmed beyond chance, the worst first."""
    scanned = (*evidence.scan, *(evidence.slices.scan if evidence.slices else ()))
    found = {(each.set_name, each.slice, each.metric): each for each in scanned if each.harmed and each.delta < 0}
    return sorted(found.values(), key=lambda each: (each.delta, each.slice))


def _worse_classes(evidence: Evidence) -> list[Comparison]:
    """Return the per-class comparisons whose upper bound is below zero, the worst first."""
    rows = [
        row
        for row in evidence.comparisons
        if OF_A_CLASS in row.metric and row.slice is None and row.upper is not None and row.upper < 0
        if row.production is not None and row.lower is not None
    ]
    return sorted(rows, key=lambda row: (row.delta or 0.0, row.metric))


def _unclear(evidence: Evidence, policy: Policy) -> Iterator[Comparison]:
    """Yield the deciding comparisons whose bounds include zero, and whose power is known."""
    for name in sets_of(evidence, "golden", "sealed"):
        row = primary(evidence, policy, name)
        if row is None or row.detectable is None or row.lower is None or row.upper is None:
            continue
        worst = row.lower if row.gain_lower is None else min(row.lower, row.gain_lower)
        if worst <= 0 <= row.upper:
            yield row


def _still_needed(row: Comparison) -> int:
    return max((row.items_needed or 0) - row.n, 0)


def _missed(check: Check) -> str:
    if isinstance(check.observed, int | float) and isinstance(check.limit, int | float):
        return f" It misses by {abs(check.observed - check.limit):.3g}."
    return ""


def _before(evidence: Evidence) -> str:
    return "production" if evidence.production_version is None else f"v{evidence.production_version}"


def _things(evidence: Evidence) -> str:
    candidate = evidence.systems.get("candidate")
    return "recordings" if candidate is not None and "audio" in candidate.unit else "items"


def _origin(evidence: Evidence, set_name: str) -> str:
    origin = next((each.origin for each in evidence.sets if each.name == set_name), "real")
    return "" if origin == "real" else f", {origin} data"


def _name(text: str) -> str:
    """Return a name that may stand in a sentence; of one that may not, its length and the start of its sha256.

    A name may come from a batch. Whoever hides names from a language model finds those of the evidence, letter by
    letter: so none stands here cut or mended.
    """
    if text == plain(text, NAME):
        return text
    return f"(a name of {len(text)} characters, sha256 {sha256_bytes(text.encode())[:8]})"


def _said(text: str, evidence: Evidence) -> str:
    """Return what a check says, on one line, with contributors by names that may stand in a sentence."""
    for each in evidence.contributors:
        if each.contributor.strip():
            text = text.replace(each.contributor, _name(each.contributor))
    return plain(text, SENTENCE)
