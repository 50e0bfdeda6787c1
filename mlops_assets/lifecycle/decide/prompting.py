"""What a language model is asked about a decision.

A prompt holds numbers, ids and the operator's own goal: no text that came with data (see `pseudonyms`).
"""

import re
from collections.abc import Iterable, Iterator

from mlops_assets.core.policy import Policy
from mlops_assets.core.records.base import Check
from mlops_assets.core.records.decision import Evidence
from mlops_assets.core.records.evaluation import Comparison
from mlops_assets.lifecycle.decide.gates import sets_of
from mlops_assets.lifecycle.decide.pseudonyms import STANDARD_METRICS, Pseudonyms, plain
from mlops_assets.lifecycle.decide.ruling import GAIN, JUDGEABLE, NOT_WORSE, PROMOTABLE, Ruling

TASK = """A model was retrained. A rule has compared it with the model in production; you are the analyst who looks at
the same numbers a second time. Everything below is measured. Ids such as S1 (a set), L1 (a slice), C1 (a class), M1 (a
metric), U1 (a contributor or speaker) and K1 (a check) stand for names; use the ids.
Every difference (delta, lower, upper, gain) is oriented so that positive means that the candidate is better. lower and
upper are one-sided bounds at alpha; gain is the lower bound that a promotion needs to be above the least gain, at the
error that one look at the set may spend. se is the standard error, needs the items that would settle it. - is missing.
You can confirm the rule's verdict, or lower it in the order APPROVE > HUMAN_REVIEW > REJECT. You cannot raise it: where
the rule asks a person, an APPROVE of yours is a recommendation to that person{trade}.
Look for what the rule does not weigh: losses that add up over slices or classes, a gain that a few speakers carry, a
gain paid for elsewhere, a result that the training's luck would explain."""
TRADE = ", except within the trade-offs that the policy leaves to you"
FORM = """Answer with one JSON object and nothing else:
{"recommendation": "APPROVE" or "HUMAN_REVIEW" or "REJECT", "reason": "at most 600 characters, naming the numbers that
decided", "concerns": ["at most 3, of at most 200 characters each"]}"""
# The words that names of checks are made of: what is not one of them, an id or a standard metric, is left out.
CHECK_WORDS = re.compile(
    r"(?i:a|agreement|and|as|automatic|bound|budget|clusters|contributors|critical|data|degradation|degraded|deployment|"
    r"detectable|dropped|error|export|failed|first|gain|golden|gate|harm|holm|human|in|is|items|ladder|latency|least|looks|"
    r"loss|metric|noise|not|of|on|openings|power|production|promotable|protected|quality|review|samples|scan|sealed|seed|"
    r"seeds|serving|set|share|significance|size|slice|slices|spread|step|suite|the|training|version|worse)"
)
MOST = {"sets": 14, "metrics": 32, "slices": 20, "scan": 8, "pairs": 10, "checks": 32, "few": 8, "labels": 16}


def verdict_prompt(evidence: Evidence, policy: Policy, ruling: Ruling) -> tuple[str, dict[str, str]]:
    """Return what the analyst is asked, of at most 6,000 tokens, and what the ids in it stand for."""
    ids = Pseudonyms(evidence)
    trades = policy.analyst_may_approve_within
    sections = {
        "The business goal": [plain(policy.analyst.goal, 1_000)] if policy.analyst and policy.analyst.goal else [],
        "The policy": list(_policy(policy, ids)),
        "The rule": list(_rule(ruling, ids)),
        "Sets": list(_sets(evidence, ids)),
        "Metrics that are no standard ones": list(
            _few((f"{id}: {what}" for id, what in ids.metrics()), MOST["metrics"])
        ),
        "Whole sets": list(_whole(evidence, policy, ids)),
        "Slices, those that lost most first": list(_slices(evidence, policy, ids)),
        "Classes": list(_classes(evidence, ids)),
        "Cross-checks, which decide nothing": list(_cross_checks(evidence, ids)),
        "Cost": list(_cost(evidence, ids)),
        "Data of the batch": list(_data(evidence, ids)),
        "How much was looked and bought": list(_spent(evidence, policy, ids)),
    }
    body = "\n\n".join("\n".join([f"{title}:", *lines]) for title, lines in sections.items() if lines)
    text = f"{TASK.format(trade=TRADE if trades else '')}\n\n{body}\n\n{FORM}"
    return text, names(evidence, ruling)


def names(evidence: Evidence, ruling: Ruling) -> dict[str, str]:
    """Return what the ids of a prompt about this ruling stand for."""
    return {**Pseudonyms(evidence).names, **{id: check.name for id, check in _checks(ruling)}}


def _policy(policy: Policy, ids: Pseudonyms) -> Iterator[str]:
    least = policy.gates.min_wer_improvement
    yield (
        f"primary {ids.metric(policy.primary.metric)}, margin {_n(policy.primary.margin)}, least gain {_n(least)}, "
        f"alpha {_n(policy.alpha)}, margin on critical suites {_n(policy.critical_margin)}"
    )
    yield from (f"business metric {ids.metric(each.metric)}, margin {_n(each.margin)}" for each in policy.business)
    protected = (
        f"protected slice {ids.id('L', each.slice)}, {ids.metric(each.metric)}, margin {_n(each.margin)}"
        for each in policy.protected
    )
    yield from _few(protected, MOST["few"])
    for each in policy.analyst_may_approve_within:
        yield (
            f"left to you: gain of {ids.metric(each.metric)} above {_n(each.gain)}, if lower of "
            f"{ids.metric(policy.primary.metric)} is above {_n(-each.loss)} and every other check holds"
        )


def _rule(ruling: Ruling, ids: Pseudonyms) -> Iterator[str]:
    yield f"verdict {ruling.verdict}"
    checks = sorted(_checks(ruling), key=lambda each: each[1].passed)
    lines = (
        f"{id} {'holds' if check.passed else 'FAILS'}: {_check_words(check, ids)}"
        f"{_number(', seen ', check.observed)}{_number(', limit ', check.limit)}"
        for id, check in checks
    )
    yield from _few(lines, MOST["checks"])


def _checks(ruling: Ruling) -> list[tuple[str, Check]]:
    return [(f"K{number}", check) for number, check in enumerate((*ruling.gates, *ruling.statistics), 1)]


def _check_words(check: Check, ids: Pseudonyms) -> str:
    """Return a check's name in this module's words, ids and standard metrics only."""
    known = next((kind for kind in (GAIN, JUDGEABLE, NOT_WORSE, PROMOTABLE) if check.name.startswith(kind)), "")
    kind = known or "gate"
    hidden, stands = ids.hide(check.name.removeprefix(known))
    words = re.findall(r"\w+", hidden)
    said = (word for word in words if CHECK_WORDS.fullmatch(word) or word in stands or word in STANDARD_METRICS)
    return " ".join((kind, *said))


def _sets(evidence: Evidence, ids: Pseudonyms) -> Iterator[str]:
    lines = (
        f"{ids.id('S', each.name)} {each.kind}, {each.origin}, {each.n} items of {each.clusters} speakers or users, "
        f"clearly worse {_n(each.degraded_share)}, failed {_n(each.failed_share)}, error per look {_n(each.gain_alpha)}"
        for each in evidence.sets
    )
    return _few(lines, MOST["sets"])


def _whole(evidence: Evidence, policy: Policy, ids: Pseudonyms) -> Iterator[str]:
    weighty = [policy.primary.metric, *(each.metric for each in policy.business)]
    weighty += [each.metric for each in policy.analyst_may_approve_within]
    settled = [*sets_of(evidence, "golden"), *sets_of(evidence, "sealed")]
    found = [each for each in evidence.comparisons if each.slice is None]
    found.sort(key=lambda each: (each.metric not in weighty, each.set_name not in settled))
    if found:
        yield "set metric candidate production baseline float classical delta lower upper gain se n detects needs"
    lines = (
        f"{ids.id('S', each.set_name)} {ids.metric(each.metric)} {_n(each.candidate)} {_n(each.production)} "
        f"{_n(each.baseline)} {_n(each.reference)} {_n(each.classical)} {_bounds(each)} {_n(each.gain_lower)} "
        f"{_n(each.error)} {each.n} {_n(each.detectable)} {_n(each.items_needed)}"
        for each in found
    )
    yield from _few(lines, MOST["metrics"])


def _slices(evidence: Evidence, policy: Policy, ids: Pseudonyms) -> Iterator[str]:
    protected = {(each.slice, each.metric) for each in policy.protected}
    weighty = {policy.primary.metric, *(each.metric for each in policy.business), *(each for _, each in protected)}
    found = [each for each in evidence.comparisons if each.slice is not None and each.metric in weighty]
    found.sort(
        key=lambda each: (
            (each.slice, each.metric) not in protected,
            each.lower is None,
            each.lower if each.lower is not None else 0,
        )
    )
    if found:
        yield "set slice metric candidate delta lower upper n"
    lines = (
        f"{ids.id('S', each.set_name)} {ids.id('L', each.slice or '')} {ids.metric(each.metric)} {_n(each.candidate)} "
        f"{_bounds(each)} {each.n}"
        for each in found
    )
    yield from _few(lines, MOST["slices"])
    report = evidence.slices
    for scan in (evidence.scan, report.scan if report else ()):
        tested = (
            f"harm {ids.id('S', each.set_name)} {ids.id('L', each.slice)} {ids.metric(each.metric)}: delta "
            f"{_n(each.delta)}, Holm p {_n(each.adjusted)}, {'HARMED' if each.harmed else 'not surely'}"
            for each in sorted(scan, key=lambda each: each.adjusted)
        )
        yield from _few(tested, MOST["scan"])
    single = (
        f"without {ids.id('U', each.cluster)} ({each.n} items, own delta {_n(each.delta)}) the delta of "
        f"{ids.metric(each.metric)} on {ids.id('S', each.set_name)} is {_n(each.without)}"
        for each in (report.clusters if report else ())
    )
    yield from _few(single, MOST["few"])


def _classes(evidence: Evidence, ids: Pseudonyms) -> Iterator[str]:
    pairs = (
        f"{ids.id('S', each.set_name)}: {ids.id('C', pair.label)} taken for {ids.id('C', pair.predicted)} in "
        f"{_n(pair.candidate)} of {pair.n}, production {_n(pair.production)}; here more is worse: {_n(pair.delta)} "
        f"from {_n(pair.lower)} to {_n(pair.upper)}"
        for each in evidence.confusions
        for pair in each.pairs
    )
    yield from _few(pairs, MOST["pairs"])
    calibrated = (
        f"calibration error of the {each.system} on {ids.id('S', each.set_name)}: {_n(each.error)}"
        for each in evidence.calibrations
    )
    yield from _few(calibrated, MOST["few"])


def _cross_checks(evidence: Evidence, ids: Pseudonyms) -> Iterator[str]:
    lines = (
        f"{each.test} {ids.metric(each.metric)} on {ids.id('S', each.set_name)}: p {_n(each.p)}, n {each.n}"
        for each in evidence.cross_checks
    )
    return _few(lines, MOST["few"])


def _cost(evidence: Evidence, ids: Pseudonyms) -> Iterator[str]:
    for system, each in evidence.systems.items():
        yield f"{system}: {_n(each.seconds_per_unit)} s per unit, {each.size_bytes} bytes"
    exported = (
        f"export on {ids.id('S', each.set_name)}: agrees with full precision on {_n(each.agreement)}, "
        f"{ids.metric(each.metric)} delta {_n(each.delta)} lower {_n(each.lower)}, size ratio {_n(each.size_ratio)}"
        for each in evidence.compression
    )
    yield from _few(exported, MOST["few"])


def _data(evidence: Evidence, ids: Pseudonyms) -> Iterator[str]:
    share, quality = _n(evidence.dropped_share), _n(evidence.quality_score)
    yield f"{evidence.kept} items kept, share dropped {share}, quality {quality} of 10"
    for what, counts, kind in (
        ("dropped", evidence.dropped, "R"),
        ("flagged", evidence.flagged, "R"),
        ("label", evidence.labels, "C"),
    ):
        largest = sorted(counts.items(), key=lambda each: -each[1])
        found = [f"{_reason(name, ids) if kind == 'R' else ids.id(kind, name)} {number}" for name, number in largest]
        if found:
            yield f"{what}: {', '.join(_few(found, MOST['labels']))}"
    contributors = (
        f"{ids.id('U', each.contributor)}: {each.items} items, share {_n(each.share)}, production disagrees on "
        f"{_n(each.disagreement)}{', OUTLIER' if each.outlier else ''}"
        for each in evidence.contributors
    )
    yield from _few(contributors, MOST["few"])


def _reason(code: str, ids: Pseudonyms) -> str:
    found = ids.id("R", code)
    return code if found == "R0" else found


def _spent(evidence: Evidence, policy: Policy, ids: Pseudonyms) -> Iterator[str]:
    yield f"looks at the golden set {evidence.looks} of {policy.looks_budget}"
    if evidence.sealed is not None:
        yield f"openings of the sealed set {evidence.openings} of {policy.openings_budget}"
    yield f"training {evidence.attempt + 1} of this batch"
    if noise := evidence.noise:
        yield (
            f"{len(noise.seeds)} seeds on {ids.id('S', noise.set_name)}: gain of {ids.metric(noise.metric)} "
            f"{_n(noise.mean)}, deviation {_n(noise.deviation)}, lower {_n(noise.lower)}"
        )
    yield from _few((f"bought {each.tool} for {_n(each.cost)}" for each in evidence.purchases), MOST["few"])


def _bounds(each: Comparison) -> str:
    return f"{_n(each.delta)} {_n(each.lower)} {_n(each.upper)}"


def _few(lines: Iterable[str], most: int) -> Iterator[str]:
    """Yield the first lines, and how many were left out."""
    every = list(lines)
    yield from every[:most]
    if len(every) > most:
        yield f"({len(every) - most} more are left out)"


def _number(before: str, value: float | str | None) -> str:
    return "" if value is None or isinstance(value, str) else before + _n(value)


def _n(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
