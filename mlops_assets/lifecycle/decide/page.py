"""The page of a decision: all that a person needs to believe it, answer it or overrule it, on one HTML page.

Gains are drawn as a forest plot whose rows are the rows of a table, so that the picture and its figures are one thing
to a screen reader, too, and a decision does not wait for a plotting library. Names of items, slices, contributors and
classes come from data, and a model's words from a model: both are shown as text, never as markup.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlops_assets.core.line import Line
from mlops_assets.core.policy import Policy
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Decision, Evidence, Exchange
from mlops_assets.core.records.evaluation import Comparison, EvalReport, Scanned, SystemReport
from mlops_assets.lifecycle.decide.gates import primary, sets_of
from mlops_assets.lifecycle.decide.pseudonyms import shown
from mlops_assets.lifecycle.evaluation.report import OF_A_CLASS, confusion_sentences
from mlops_assets.lifecycle.pages import render, write_page

SHOWN = 20
TOOLS = {
    "sealed_set": "the sealed set was opened",
    "slice_report": "a report on slices, two at a time",
    "seeds": "a training with another seed",
    "retrain": "a training with other settings",
}


@dataclass(frozen=True)
class Row:
    """One gain of a forest plot; `at` maps what is drawn to its place, 0 to 100, for what was measured."""

    name: str
    kind: Literal["golden", "sealed", "benchmark", "critical", "edge", "holdout", "protected slice", "class"]
    comparison: Comparison
    at: dict[str, float]


@dataclass(frozen=True)
class Forest:
    """Gains in one metric on one scale; `low` and `high` are its ends in the metric's unit."""

    metric: str
    unit: str
    margin: float | None
    rows: tuple[Row, ...]
    low: float
    high: float


def decision_page(line: Line, decision: Decision, report: EvalReport | None) -> str:
    """Return the self-contained HTML page of a decision and its evidence; `report` is the evaluation it judged."""
    evidence, policy = decision.evidence, line.policy
    return render(
        "decide/decision.html.j2",
        line=line,
        decision=decision,
        evidence=evidence,
        policy=policy,
        report=report,
        analysis=decision.analysis,
        origins={each.name: each.origin for each in evidence.sets},
        synthetic=sorted({each.name for each in evidence.sets if each.origin != "real"}),
        deciding=[row for name in sets_of(evidence, "golden", "sealed") if (row := primary(evidence, policy, name))],
        forests=list(forests(evidence, policy)),
        checks=[("gate", check) for check in decision.gates] + [("statistic", check) for check in decision.statistics],
        costs=list(_costs(evidence)),
        tools=TOOLS,
        spent=sum(each.cost for each in evidence.purchases),
        scan=_scan(evidence),
        confused=[sentence for sentence, _ in confusion_sentences(evidence)],
        said=[(each, _said(each)) for each in decision.exchanges],
        digests=list(_digests(decision)),
        shown=SHOWN,
    )


def write_decision_page(platform: Platform, decision: Decision) -> Path | None:
    """Write a decision's page, as it was recorded, where a browser opens it; None for one that has no page."""
    if decision.page is None:
        return None
    name = f"{decision.batch_id}-{decision.decision_id[:12]}.html"
    return write_page(platform.home / "reports" / decision.line / name, platform.store.read_bytes(decision.page))


def forests(evidence: Evidence, policy: Policy) -> Iterator[Forest]:
    """Yield the primary metric first, then business metrics and what else is protected, then classes."""
    primary_metric = policy.primary.metric
    margins = {each.metric: each.margin for each in (*policy.business, policy.primary)}
    protected = {(each.metric, each.slice) for each in policy.protected}
    metrics = dict.fromkeys([primary_metric, *margins, *(metric for metric, _ in sorted(protected))])
    for metric in metrics:
        rows = [row for row in evidence.comparisons if row.metric == metric]
        chosen = [(row.set_name, _kind(evidence, row), row) for row in rows if row.slice is None]
        chosen += [
            (f"{row.slice} of {row.set_name}", "protected slice", row)
            for row in rows
            if (metric, row.slice) in protected
        ]
        if chosen:
            yield _forest(metric, margins.get(metric), chosen)
    classes: dict[str, list[tuple[str, str, Comparison]]] = {}
    for row in evidence.comparisons:
        metric, of_a_class, label = row.metric.partition(OF_A_CLASS)
        if of_a_class and row.slice is None and row.metric not in metrics:
            classes.setdefault(metric, []).append((f"{label} of {row.set_name}", "class", row))
    for metric, chosen in classes.items():
        yield _forest(f"{metric} of each class", None, chosen)


def _kind(evidence: Evidence, row: Comparison) -> str:
    return next((each.kind for each in evidence.sets if each.name == row.set_name), "holdout")


def _forest(metric: str, margin: float | None, chosen: Iterable[tuple[str, str, Comparison]]) -> Forest:
    chosen = list(chosen)
    drawn = {"zero": 0.0} | ({} if margin is None else {"margin": -margin})
    ends = [*drawn.values(), *(value for _, _, row in chosen for value in _drawn(row).values())]
    room = 0.04 * (max(ends) - min(ends)) or 0.01
    low, high = min(ends) - room, max(ends) + room

    def at(values: dict[str, float]) -> dict[str, float]:
        return {name: round(100 * (value - low) / (high - low), 2) for name, value in values.items()}

    rows = tuple(
        Row(name=name, kind=kind, comparison=row, at=at(drawn | _drawn(row)))  # pyright: ignore[reportArgumentType]
        for name, kind, row in chosen
    )
    return Forest(metric=metric, unit=chosen[0][2].unit, margin=margin, rows=rows, low=low, high=high)


def _drawn(row: Comparison) -> dict[str, float]:
    values = {"lower": row.lower, "delta": row.delta, "upper": row.upper, "gain_lower": row.gain_lower}
    return {name: value for name, value in values.items() if value is not None}


def _costs(evidence: Evidence) -> Iterator[tuple[str, SystemReport, float | None, float | None]]:
    """Yield each system with its latency and size as multiples of production's."""
    served = evidence.systems.get("production")
    for name, each in evidence.systems.items():
        slower = each.seconds_per_unit / served.seconds_per_unit if served and served.seconds_per_unit > 0 else None
        larger = each.size_bytes / served.size_bytes if served and served.size_bytes > 0 else None
        yield name, each, slower, larger


def _scan(evidence: Evidence) -> list[Scanned]:
    """Return every slice that was tested for harm, the surest first."""
    bought = evidence.slices.scan if evidence.slices else ()
    return sorted((*evidence.scan, *bought), key=lambda each: (each.adjusted, each.p, each.slice))


def _said(exchange: Exchange) -> str | None:
    """Return a model's own words with names in place of the ids it was given."""
    return None if exchange.answer is None else shown(exchange.answer, exchange.names)


def _digests(decision: Decision) -> Iterator[tuple[str, str]]:
    evidence = decision.evidence
    yield "candidate (served bytes)", evidence.candidate
    version = evidence.production_version
    yield f"production{'' if version is None else f' (version {version})'}", evidence.production or "none"
    for name, digest in evidence.golden.items():
        yield f"golden set {name}", digest
    for each in evidence.sets:
        if each.name not in evidence.golden:
            yield f"{each.kind} set {each.name}", each.dataset
    if evidence.sealed is not None and all(each.dataset != evidence.sealed for each in evidence.sets):
        yield "sealed set (not opened)", evidence.sealed
    yield "policy", decision.policy_digest
    yield "evidence", decision.evidence_digest
    if decision.gathered and decision.gathered != decision.evidence_digest:
        yield "evidence the agent began with", decision.gathered
    for asset, digest in {"eval_report": evidence.report, **evidence.parents}.items():
        yield f"record of {asset}", digest
    yield "code", evidence.code_version
