"""Pairs of systems, drawn and compared."""

import numpy as np

from mlops_assets.core.statistics import Paired, compare

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
PER_LOOK = 0.0025
"""What one of twenty looks at a golden set may spend of 5 %."""


def judge(new: np.ndarray, old: np.ndarray, weight: np.ndarray, clusters: np.ndarray, **changes: float) -> Paired:
    settings = {"alpha": 0.05, "margin": 0.003, "resamples": 1_000, "seed": 1} | changes
    return compare((new, weight), (old, weight), clusters, higher_is_better=False, **settings)  # pyright: ignore


def utterances(seed: int, clusters: int, per_cluster: int, uneven: bool = False, spread: float = 0.04) -> Arrays:
    """Two systems of equal quality whose errors depend on the speaker: new, old, words, speaker."""
    rng = np.random.default_rng(seed)
    sizes = np.maximum(1, rng.lognormal(np.log(per_cluster), 1.0 if uneven else 0.0, clusters).astype(int))
    speaker = np.repeat(np.arange(clusters), sizes)
    words = rng.poisson(10, len(speaker)) + 2
    rates = np.clip(0.15 + rng.normal(0, spread, (2, clusters)), 0.01, 0.9)
    return rng.binomial(words, rates[0][speaker]), rng.binomial(words, rates[1][speaker]), words, speaker


def changed_hits(better: int, worse: int, same: int, **changes: float) -> Paired:
    """Two systems of which each alone has some items right, the others both."""
    new = np.repeat([1.0, 0.0, 1.0], [better, worse, same])
    old = np.repeat([0.0, 1.0, 1.0], [better, worse, same])
    return judge(1 - new, 1 - old, np.ones(len(new)), np.arange(len(new)), **changes)


def f1_columns(truth: np.ndarray, said: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        str(label): (2.0 * ((truth == label) & (said == label)), 1.0 * (truth == label) + (said == label))
        for label in range(4)
    }
