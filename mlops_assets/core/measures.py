"""What a metric is made of: columns of numerators and weights, and what each cluster contributes to its value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlops_assets.core.resampling import Floats


@dataclass(frozen=True)
class Measure:
    """A metric made of score columns: the mean of the columns' ratios of sums, or its square root.

    A column without weight is left out of the mean, as scikit-learn leaves a class that neither occurs nor is predicted
    out of macro-F1.
    """

    columns: tuple[str, ...]
    higher_is_better: bool
    root: bool = False

    def value(self, ratios: Mapping[str, Floats]) -> Floats:
        """Return the metric for columns of ratios, each of shape (r,), NaN where a ratio has no weight."""
        mean = _mean_of_known([ratios[name] for name in self.columns])
        return np.sqrt(mean) if self.root else mean


def reach(columns: Sequence[Floats]) -> tuple[float, float]:
    """Return what a metric made of these columns, (clusters, 2) each, can be at least and at most: a share is 0..1."""
    least = 0.0 if all((part >= 0).all() for part in columns) else -np.inf
    most = 1.0 if all((part[:, 0] <= part[:, 1]).all() for part in columns) else np.inf
    return least, most


def influence_of(measure: Measure, sums: Mapping[str, Floats]) -> tuple[float, Floats, Floats]:
    """Return a metric's value, and per cluster its influence on it (they sum to 0) and its share of the weight."""
    totals = {name: sums[name].sum(axis=0) for name in measure.columns}
    ratios = {name: ratio_of_sums(total[:1], total[1:]) for name, total in totals.items()}
    value = float(measure.value(ratios)[0])
    used = [name for name in measure.columns if totals[name][1] > 0]
    if not used:
        return value, np.zeros(len(next(iter(sums.values())))), np.zeros(0)
    influence = np.mean([(sums[n][:, 0] - ratios[n] * sums[n][:, 1]) / totals[n][1] for n in used], axis=0)
    weight = np.mean([sums[n][:, 1] / totals[n][1] for n in used], axis=0)
    if measure.root and value > 0:
        influence = influence / (2 * value)
    return value, influence, weight


def _mean_of_known(columns: Sequence[Floats]) -> Floats:
    """Return the mean of columns, NaN left out; NaN where all are."""
    if len(columns) == 1:
        return columns[0]
    table = np.array(columns)
    known = np.isfinite(table)
    return ratio_of_sums(np.where(known, table, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def ratio_of_sums(numerator: Floats, weight: Floats) -> Floats:
    """Return numerators over weights, NaN where there is no weight."""
    return np.divide(numerator, weight, out=np.full_like(numerator, np.nan), where=weight > 0)
