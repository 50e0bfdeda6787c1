"""How much of a gain is the luck of a training's seed.

Two trainings of one recipe differ, and a gain that one of them shows may be its own (Bouthillier et al. 2021). So seeds
are resampled together with clusters: both are a sample of what could have been.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from mlops_assets.core.errors import PlatformError
from mlops_assets.core.measures import Measure
from mlops_assets.core.resampling import resample_sums
from mlops_assets.core.statistics import Scores, values

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """The oriented gain of each seed, their mean and standard deviation, and the one-sided lower bound of the mean."""

    deltas: tuple[float, ...]
    mean: float
    deviation: float
    lower: float | None


def training_noise(
    measure: Measure,
    trained: Sequence[Mapping[str, Scores]],
    production: Mapping[str, Scores],
    clusters: ArrayLike,
    *,
    alpha: float,
    resamples: int,
    seed: int,
) -> Noise:
    """Return how a recipe's gain over production varies.

    `trained` holds one system per seed; each system maps the measure's columns to (numerator, weight), arrays of shape
    (n,) in the same order of items, and `clusters` a label per item. A resample draws as many seeds and clusters as
    there are and averages the drawn seeds' gains on the drawn clusters. Both parts of it are widened as a bootstrap of
    few units needs, by ``sqrt(k / (k - 1))``, and the bound by Student's t over the normal quantile at Satterthwaite's
    degrees of freedom of the two variances' sum. `lower` is None for one seed or one cluster. PlatformError if a system
    gives the metric no weight.
    """
    systems = [production, *trained]
    known = [values({"": measure}, {name: scores[name] for name in measure.columns}) for scores in systems]
    if not all(known):
        raise PlatformError(
            "A system gives the metric no weight on this set.", "Give the evaluation set references that are not empty."
        )
    sign = 1.0 if measure.higher_is_better else -1.0
    deltas = np.array([sign * (each[""] - known[0][""]) for each in known[1:]])
    count, groups = len(deltas), np.unique(np.asarray(clusters), return_inverse=True)[1]
    total = int(groups.max()) + 1
    mean, deviation = float(deltas.mean()), float(deltas.std(ddof=1)) if count > 1 else 0.0
    if count < 2 or total < 2:
        return Noise(tuple(deltas.tolist()), mean, deviation, None)
    rng = np.random.default_rng(seed)
    drawn = _drawn(measure, systems, groups, resamples, rng, sign)
    kept = drawn[np.isfinite(drawn).all(axis=1)]
    centre = kept.mean(axis=1)
    chosen = np.take_along_axis(kept, rng.integers(0, count, kept.shape), axis=1).mean(axis=1)
    of_clusters = np.sqrt(total / (total - 1)) * (centre - mean)
    of_seeds = np.sqrt(count / (count - 1)) * (chosen - centre)
    distance = -float(np.quantile(of_clusters + of_seeds, alpha))
    df = _degrees_of_freedom([(float(of_clusters.var()), total - 1), (float(of_seeds.var()), count - 1)])
    widen = float(stdtrit(df, 1 - alpha) / ndtri(1 - alpha))
    return Noise(tuple(deltas.tolist()), mean, deviation, mean - widen * max(distance, 0.0))


def _drawn(
    measure: Measure,
    systems: Sequence[Mapping[str, Scores]],
    groups: NDArray[np.intp],
    resamples: int,
    rng: np.random.Generator,
    sign: float,
) -> Floats:
    """Return the oriented gain of each seed on resampled clusters, shape (resamples, seeds)."""
    parts = [np.asarray(part) for scores in systems for name in measure.columns for part in scores[name]]
    sums = np.column_stack([np.bincount(groups, weights=part) for part in parts]).astype(np.float64)
    drawn = iter(resample_sums(sums, resamples, rng).T)
    found = []
    for _ in systems:
        ratios = {}
        for name in measure.columns:
            numerator, weight = next(drawn), next(drawn)
            ratios[name] = np.divide(numerator, weight, out=np.full_like(numerator, np.nan), where=weight > 0)
        found.append(measure.value(ratios))
    return sign * (np.column_stack(found[1:]) - found[0][:, None])


def _degrees_of_freedom(variances: Sequence[tuple[float, int]]) -> float:
    """Return Satterthwaite's degrees of freedom of a sum of variances, each with its own."""
    total = sum(variance for variance, _ in variances)
    return total**2 / sum(variance**2 / df for variance, df in variances) if total > 0 else 1.0
