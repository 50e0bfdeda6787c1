"""Who a batch comes from: how much of it any one contributor may be, and whose labels production would not give.

A contributor is an item's cluster (speaker, user, source). Two ways to move a model alone are watched here: to be most
of a batch, and to be wrong in it on purpose.
"""

import math
import shutil
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlops_assets.core.dataset import merge, read_items
from mlops_assets.core.errors import TaskFailed
from mlops_assets.core.family import ItemScore, MetricSpec
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.data import Item, ValidatedData
from mlops_assets.core.records.evaluation import ContributorReport
from mlops_assets.core.significance import holm
from mlops_assets.lifecycle.evaluation.predictions import predict
from mlops_assets.lifecycle.training.split import sample

MOST_ITEMS = 300
MOST_CONTRIBUTORS = 50
FEWEST_ITEMS = 5
OUTLIER = 0.01
HALF_RIGHT = 0.5
SET = "contributors"


def capped(items: Sequence[Item], share: float, salt: str) -> list[Item]:
    """Return the largest selection of `items`, in their order, in which nobody has more than `share` of it.

    Of a contributor with too many, those with the least hashes stay: the same ones for the same input. An empty list
    says that there are too few contributors for any selection: fewer than 1 / `share`.
    """
    owned = Counter(item.cluster for item in items)
    total = len(items)
    while total:
        limit = math.floor(share * total + 1e-9)
        left = sum(min(count, limit) for count in owned.values())
        if left == total:
            break
        total = left
    limit = math.floor(share * total + 1e-9)
    chosen: set[str] = set()
    for cluster, count in owned.items():
        own = [item for item in items if item.cluster == cluster] if count > limit else []
        chosen |= {item.id for item in sample(own, limit, salt)}
    return [item for item in items if owned[item.cluster] <= limit or item.id in chosen]


def shares(items: Sequence[Item]) -> list[tuple[str, int, float]]:
    """Return every contributor with its items and their share of all (0 to 1), the largest first."""
    owned = Counter(item.cluster for item in items)
    return [
        (name, count, count / len(items)) for name, count in sorted(owned.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def contributors(
    platform: Platform, line: Line, data: ValidatedData, served: Version | None, progress: Path
) -> tuple[ContributorReport, ...]:
    """Return the batch's largest contributors: items, share, and how often `served` answers otherwise than the label.

    Disagreement is counted on at most `MOST_ITEMS` kept items, chosen by hash. A contributor stands out if it has at
    least `FEWEST_ITEMS` of them, production disagrees on more than half of these, and more than on all others' together
    by Fisher's exact test (1922), one-sided, Holm-adjusted over the contributors tested, at 0.01. Whoever is hard and
    whoever is wrong look alike to a model: an outlier is a question to a person. Without a version that answers there
    are shares alone.
    """
    items = read_items(platform.store.folder(data.dataset))
    rates = _disagreements(platform, line, data, items, served, progress) if served and items else {}
    adjusted = _adjusted(rates)
    return tuple(
        ContributorReport(
            contributor=name,
            items=count,
            share=share,
            disagreement=rates[name][0] / rates[name][1] if name in rates else None,
            adjusted=adjusted.get(name),
            outlier=adjusted.get(name, 1.0) <= OUTLIER and rates[name][0] > HALF_RIGHT * rates[name][1],
        )
        for name, count, share in shares(items)[:MOST_CONTRIBUTORS]
    )


def _disagreements(
    platform: Platform, line: Line, data: ValidatedData, items: Sequence[Item], served: Version, progress: Path
) -> dict[str, tuple[int, int]]:
    """Return per contributor how many of its sampled items production answers otherwise, and how many there are."""
    family = platform.family(line.family)
    config = family.Config.model_validate(line.config)
    metric = answered_by(family.metrics(config))
    if metric is None:
        return {}
    dataset = _sampled(platform, line, data, items)
    try:
        predicted = predict(platform, line, served.servable, {SET: dataset}, progress)
    except TaskFailed:  # the report says why production is missing: it is measured on the golden set, too
        return {}
    chosen = read_items(platform.store.folder(dataset))
    counted: dict[str, tuple[int, int]] = {}
    for item, scores in zip(chosen, family.score(chosen, predicted.predictions[SET], config), strict=True):
        wrong = disagrees(scores[metric.name], metric)
        if wrong is not None:
            some, all_ = counted.get(item.cluster, (0, 0))
            counted[item.cluster] = some + wrong, all_ + 1
    return counted


def answered_by(metrics: Sequence[MetricSpec]) -> MetricSpec | None:
    """Return the metric that tells whether an item is answered as its label: an error rate, else a share of hits.

    An error rate looks at the parts of an item (words, dimensions), where a hit is all or nothing. None if a family
    has neither: a squared error has no half.
    """
    counts = [each for each in metrics if each.unit.startswith("share of") and not each.mean_of and not each.root]
    return min(counts, key=lambda each: each.higher_is_better, default=None)


def disagrees(score: ItemScore, metric: MetricSpec) -> bool | None:
    """Say whether an answer is less than half right; None for an item that the metric says nothing about."""
    if not score.weight:
        return None
    ratio = score.numerator / score.weight
    return ratio < HALF_RIGHT if metric.higher_is_better else ratio > HALF_RIGHT


def _adjusted(rates: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """Return the adjusted p-value of every contributor with enough items, where there are others to compare with."""
    from scipy.stats import hypergeom

    wrong, everything = (sum(pair[at] for pair in rates.values()) for at in (0, 1))
    tested = {name: pair for name, pair in rates.items() if FEWEST_ITEMS <= pair[1] < everything}
    p = [float(hypergeom.sf(some - 1, everything, wrong, own)) for some, own in tested.values()]
    return {name: min(1.0, float(value)) for name, value in zip(tested, holm(p), strict=True)}


def _sampled(platform: Platform, line: Line, data: ValidatedData, items: Sequence[Item]) -> str:
    """Return the store digest of a dataset of at most `MOST_ITEMS` of a batch's items."""
    if len(items) <= MOST_ITEMS:
        return data.dataset
    folder = platform.home / "runs" / line.line / f"contributors-{uuid.uuid4().hex[:12]}"
    try:
        merge(folder, [(platform.store.folder(data.dataset), sample(items, MOST_ITEMS, data.dataset))])
        return platform.store.put_folder(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
