"""From predictions to comparisons: every metric of every set, whole and by slice, candidate against production."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from mlops_assets.core.digests import canonical_json
from mlops_assets.core.family import Family, ItemScore, MetricSpec
from mlops_assets.core.policy import Policy
from mlops_assets.core.records import Comparison, Item, ItemChange, Origin, SetKind, SetResult, System
from mlops_assets.core.statistics import Scores, compare, degraded_share

MIN_SLICE_ITEMS = 5
SHOWN_CHANGES = 5


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

    def everything(self) -> range:
        """Return the indices of all items."""
        return range(len(self.items))


def comparisons(scored: ScoredSet, family: Family, policy: Policy) -> list[Comparison]:
    """Compare every metric over the set, then over each slice that has at least 5 items."""
    slices: dict[str | None, Sequence[int]] = {None: scored.everything()}
    for name in sorted({name for item in scored.items for name in item.slices}):
        members = [index for index, item in enumerate(scored.items) if name in item.slices]
        if len(members) >= MIN_SLICE_ITEMS:
            slices[name] = members
    return [
        found
        for name, members in slices.items()
        for metric in family.metrics
        if (found := _comparison(scored, metric, policy, name, members)) is not None
    ]


def _comparison(
    scored: ScoredSet, metric: MetricSpec, policy: Policy, slice_id: str | None, members: Sequence[int]
) -> Comparison | None:
    candidate = scored.column("candidate", metric.name, members)
    if candidate is None or np.sum(candidate[1]) <= 0:
        return None
    found = compare(
        candidate,
        scored.column("production", metric.name, members),
        [scored.items[index].cluster for index in members],
        higher_is_better=metric.higher_is_better,
        alpha=policy.alpha,
        margin=_margin(policy, scored.kind, metric.name, slice_id),
        resamples=policy.resamples,
        seed=policy.seed,
    )
    baseline = scored.column("baseline", metric.name, members)
    return Comparison(
        metric=metric.name,
        set_name=scored.name,
        slice=slice_id,
        higher_is_better=metric.higher_is_better,
        unit=metric.unit,
        baseline=None if baseline is None else float(np.sum(baseline[0]) / np.sum(baseline[1])),
        origin=scored.origin,
        **vars(found),
    )


def _margin(policy: Policy, kind: SetKind, metric: str, slice_id: str | None) -> float:
    protected = [each.margin for each in policy.protected if (each.metric, each.slice) == (metric, slice_id)]
    if protected:
        return protected[0]
    if kind == "critical" and metric == policy.primary.metric:
        return policy.critical_margin
    return next((each.margin for each in policy.business if each.metric == metric), policy.primary.margin)


def set_result(scored: ScoredSet, primary: MetricSpec, scores: str) -> SetResult:
    """Return the record of a set; `scores` is the store digest of its scores.jsonl."""
    new = scored.column("candidate", primary.name, scored.everything())
    old = scored.column("production", primary.name, scored.everything())
    return SetResult(
        name=scored.name,
        kind=scored.kind,
        dataset=scored.dataset,
        origin=scored.origin,
        n=len(scored.items),
        clusters=len({item.cluster for item in scored.items}),
        scores=scores,
        degraded_share=0.0 if new is None or old is None else degraded_share(new, old, primary.higher_is_better),
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
    scored: ScoredSet, family: Family, primary: MetricSpec
) -> tuple[tuple[ItemChange, ...], tuple[ItemChange, ...]]:
    """Return the items that lost most and those that gained most, at most 5 each, by the primary metric's numerator."""
    if not {"candidate", "production"} <= set(scored.scores):
        return (), ()
    sign = 1.0 if primary.higher_is_better else -1.0
    found = []
    for index, item in enumerate(scored.items):
        new = scored.scores["candidate"][index][primary.name].numerator
        old = scored.scores["production"][index][primary.name].numerator
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
