"""From predictions to comparisons: every metric of every set, whole and by slice, candidate against production."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from pydantic import JsonValue

from mlops_assets.core.digests import canonical_json
from mlops_assets.core.errors import ConfigError
from mlops_assets.core.family import Family, ItemScore, MetricSpec
from mlops_assets.core.line import Line
from mlops_assets.core.measures import Measure
from mlops_assets.core.policy import Policy
from mlops_assets.core.records.data import Item, Origin
from mlops_assets.core.records.evaluation import Comparison, CrossCheck, ItemChange, Scanned, SetKind, SetResult, System
from mlops_assets.core.significance import holm, mcnemar, paired_t, permutation
from mlops_assets.core.statistics import Scores, compare_all, degraded_share, values

MIN_SLICE_ITEMS = 5
SHOWN_CHANGES = 5
INDEPENDENT_HITS = "items that only one of the two has right, as if independent"
MEAN_ITEM = "mean of single items, not ratio of sums, as if independent"
SWAPPED = "ratio of sums, the systems swapped by cluster"


@dataclass(frozen=True)
class ScoredSet:
    """One set with its items, and per system the predictions and their scores, in item order."""

    name: str
    kind: SetKind
    dataset: str
    origin: Origin
    items: Sequence[Item]
    predictions: Mapping[System, Sequence[JsonValue]]
    scores: Mapping[System, Sequence[Mapping[str, ItemScore]]]

    def column(self, system: System, metric: str, chosen: Sequence[int]) -> Scores | None:
        """Return numerators and weights of chosen items; None for a system that was not measured."""
        if system not in self.scores:
            return None
        scores = [self.scores[system][index][metric] for index in chosen]
        return np.array([each.numerator for each in scores]), np.array([each.weight for each in scores])

    def columns(self, system: System, measures: Iterable[Measure], chosen: Sequence[int]) -> dict[str, Scores] | None:
        """Return the columns that measures are made of; None for a system that was not measured."""
        if system not in self.scores:
            return None
        names = {name for measure in measures for name in measure.columns}
        return {name: scores for name in names if (scores := self.column(system, name, chosen)) is not None}

    def everything(self) -> range:
        """Return the indices of all items."""
        return range(len(self.items))


def measure(metric: MetricSpec) -> Measure:
    """Return how a metric is made of the columns that `score` gives."""
    return Measure(metric.mean_of or (metric.name,), metric.higher_is_better, metric.root)


def primary_metric(metrics: Sequence[MetricSpec], line: Line) -> MetricSpec:
    """Return the metric that decides; ConfigError names those there are."""
    for metric in metrics:
        if metric.name == line.policy.primary.metric:
            return metric
    known = ", ".join(metric.name for metric in metrics)
    raise ConfigError(
        f"The primary metric of {line.line} is '{line.policy.primary.metric}', which {line.family} models do not have.",
        f"Its metrics are: {known}.",
    )


def item_metric(metrics: Sequence[MetricSpec], primary: MetricSpec) -> MetricSpec:
    """Return the metric that single items are looked at by: the primary one, or the first that is no mean of others."""
    return primary if not primary.mean_of else next(each for each in metrics if not each.mean_of)


def comparisons(
    scored: ScoredSet, metrics: Sequence[MetricSpec], policy: Policy, gain_alpha: float | None = None
) -> list[Comparison]:
    """Compare every metric over the set, then the sliced ones over each slice that has at least 5 items.

    `gain_alpha` is the one-sided error that this look at the set may spend on a gain, if it may settle one.
    """
    slices: dict[str | None, Sequence[int]] = {None: scored.everything()}
    for name in sorted({name for item in scored.items for name in item.slices}):
        members = [index for index, item in enumerate(scored.items) if name in item.slices]
        if len(members) >= MIN_SLICE_ITEMS:
            slices[name] = members
    return [
        found
        for name, members in slices.items()
        for found in _comparisons(scored, metrics, policy, gain_alpha, name, members)
    ]


def _comparisons(
    scored: ScoredSet,
    metrics: Sequence[MetricSpec],
    policy: Policy,
    gain_alpha: float | None,
    slice_id: str | None,
    members: Sequence[int],
) -> Iterator[Comparison]:
    protected = {each.metric for each in policy.protected if each.slice == slice_id}
    wanted = [each for each in metrics if slice_id is None or each.sliced or each.name in protected]
    measures = {each.name: measure(each) for each in wanted}
    candidate = scored.columns("candidate", measures.values(), members)
    if candidate is None:
        return
    clusters = [scored.items[index].cluster for index in members]
    found = compare_all(
        measures,
        candidate,
        scored.columns("production", measures.values(), members),
        clusters,
        alpha=policy.alpha,
        margins={each.name: _margin(policy, scored.kind, each.name, slice_id) for each in wanted},
        resamples=policy.resamples,
        seed=policy.seed,
        gain_alpha=gain_alpha,
    )
    others = {system: _values(scored, measures, system, members) for system in ("baseline", "reference", "classical")}
    for each in wanted:
        if each.name in found:
            yield Comparison(
                metric=each.name,
                set_name=scored.name,
                slice=slice_id,
                higher_is_better=each.higher_is_better,
                unit=each.unit,
                origin=scored.origin,
                **{system: values.get(each.name) for system, values in others.items()},
                **vars(found[each.name]),
            )


def cross_checks(scored: ScoredSet, metric: MetricSpec, policy: Policy) -> list[CrossCheck]:
    """Ask other tests whether the candidate is better by a metric that items have, where both weigh items alike.

    McNemar's is for hits and misses that count equally; one-sided, the candidate better.
    """
    new, old = (scored.column(system, metric.name, scored.everything()) for system in ("candidate", "production"))
    if new is None or old is None or not np.array_equal(new[1], old[1]):
        return []
    numerators, weight = np.array([new[0], old[0]]), np.asarray(new[1])
    gains = (numerators[0] - numerators[1]) * (1.0 if metric.higher_is_better else -1.0)
    counted = weight > 0
    if not counted.any():
        return []
    found = []

    def add(test: Literal["mcnemar", "paired_t", "permutation"], quantity: str, n: int, value: float | None, p: float):
        check = CrossCheck(
            set_name=scored.name, metric=metric.name, test=test, quantity=quantity, n=n, statistic=value, p=p
        )
        found.append(check)

    if (weight == 1).all() and np.isin(numerators, (0, 1)).all():
        better, worse = int((gains > 0).sum()), int((gains < 0).sum())
        add("mcnemar", INDEPENDENT_HITS, better + worse, better, mcnemar(better, worse))
    t, p = paired_t(gains[counted] / weight[counted])
    add("paired_t", MEAN_ITEM, int(counted.sum()), t, p)
    clusters = np.unique([item.cluster for item in scored.items], return_inverse=True)[1]
    sums = np.bincount(clusters, weights=gains)
    add("permutation", SWAPPED, len(sums), float(gains.sum() / weight.sum()), permutation(sums, policy.seed))
    return found


def scan(compared: Iterable[Comparison], policy: Policy) -> list[Scanned]:
    """Return which slices are surely harmed by the primary metric, allowing for having looked at all of them (Holm).

    `compared` are the comparisons of a scan; whole sets and other metrics are left out, and so are slices of one
    cluster, which nothing can be said of.
    """
    rows = [
        (row, row.slice, row.delta, row.harm)
        for row in compared
        if row.slice is not None and row.metric == policy.primary.metric
        if row.delta is not None and row.harm is not None
    ]
    adjusted = holm([harm for *_, harm in rows])
    return [
        Scanned(
            set_name=row.set_name,
            slice=slice_id,
            metric=row.metric,
            n=row.n,
            clusters=row.clusters,
            delta=delta,
            p=harm,
            adjusted=float(p),
            harmed=bool(p <= policy.alpha),
        )
        for (row, slice_id, delta, harm), p in zip(rows, adjusted, strict=True)
    ]


def _values(
    scored: ScoredSet, measures: Mapping[str, Measure], system: System, members: Sequence[int]
) -> dict[str, float]:
    """Return the plain values of a system that is only shown beside the others; none if it was not measured."""
    columns = scored.columns(system, measures.values(), members)
    return values(measures, columns) if columns else {}


def _margin(policy: Policy, kind: SetKind, metric: str, slice_id: str | None) -> float:
    protected = [each.margin for each in policy.protected if (each.metric, each.slice) == (metric, slice_id)]
    if protected:
        return protected[0]
    if kind == "critical" and metric == policy.primary.metric:
        return policy.critical_margin
    return next((each.margin for each in policy.business if each.metric == metric), policy.primary.margin)


def set_result(scored: ScoredSet, metric: MetricSpec, line: Line, scores: str) -> SetResult:
    """Return the record of a set; `scores` is the store digest of its scores.jsonl, `metric` one that items have."""
    new = scored.column("candidate", metric.name, scored.everything())
    old = scored.column("production", metric.name, scored.everything())
    worse = None if new is None or old is None else partial(degraded_share, new, old, metric.higher_is_better)
    return SetResult(
        name=scored.name,
        kind=scored.kind,
        dataset=scored.dataset,
        origin=scored.origin,
        n=len(scored.items),
        clusters=len({item.cluster for item in scored.items}),
        scores=scores,
        degraded_share=worse() if worse else 0.0,
        failed_share=worse(relative=line.policy.gates.sample_degradation_threshold) if worse else 0.0,
        gain_alpha=line.gain_alpha(scored.kind),
    )


def scores_lines(scored: ScoredSet) -> bytes:
    """Return scores.jsonl: per item its id, cluster, slices and reference, per system prediction and scores."""
    lines = []
    for index, item in enumerate(scored.items):
        systems = {
            system: {
                "prediction": scored.predictions[system][index],
                "scores": {name: [each.numerator, each.weight] for name, each in scores[index].items()},
            }
            for system, scores in scored.scores.items()
        }
        line = {"item": item.id, "cluster": item.cluster, "slices": item.slices, "reference": item.target}
        lines.append(canonical_json({**line, "systems": systems}) + "\n")
    return "".join(lines).encode()


def changes(
    scored: ScoredSet, family: Family, metric: MetricSpec
) -> tuple[tuple[ItemChange, ...], tuple[ItemChange, ...]]:
    """Return the items that lost most and those that gained most, at most 5 each, by a metric's numerator."""
    if not {"candidate", "production"} <= set(scored.scores):
        return (), ()
    sign = 1.0 if metric.higher_is_better else -1.0
    found = []
    for index, item in enumerate(scored.items):
        new = scored.scores["candidate"][index][metric.name].numerator
        old = scored.scores["production"][index][metric.name].numerator
        if new != old:
            found.append(
                ItemChange(
                    set_name=scored.name,
                    item=item.id,
                    reference=family.show(item.target),
                    production=family.show(scored.predictions["production"][index]),
                    candidate=family.show(scored.predictions["candidate"][index]),
                    change=sign * (new - old),
                )
            )
    found.sort(key=lambda each: each.change)
    worst = tuple(each for each in found[:SHOWN_CHANGES] if each.change < 0)
    best = tuple(each for each in reversed(found[-SHOWN_CHANGES:]) if each.change > 0)
    return worst, best
