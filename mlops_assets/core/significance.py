"""Tests that are reported beside the bootstrap, and the correction for having looked at many slices.

They decide nothing: each answers a slightly other question, or assumes more, than the clustered bootstrap of
`core.statistics`, and a reader who trusts one of them can see whether it agrees. All are one-sided: a small p means
that this gain would be surprising if the candidate were no better.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 9_999
CHUNK = 1 << 19


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return p-values, shape (n,), adjusted for having made n tests (Holm 1979), in their order, in 0..1.

    Calling harmed whatever is at most alpha is wrong about any of the n with probability at most alpha, however they
    depend on one another.
    """
    raw = np.asarray(p, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    steps = raw[order] * np.arange(len(raw), 0, -1)
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def mcnemar(better: int, worse: int) -> float:
    """Return the exact p-value of McNemar 1947 for hits: `better` items only the candidate has, `worse` only the other.

    Items are taken as independent. 1 where the systems agree on every item.
    """
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse, alternative="greater").pvalue) if better + worse else 1.0


def paired_t(gains: ArrayLike) -> tuple[float | None, float]:
    """Return Student's t of the mean of oriented differences, shape (n,), taken as independent, and its p-value.

    Source 003 tests the ratios of single items so, which is another quantity than the ratio of their sums: a short
    utterance counts as much as a long one. (None, 1) where the differences do not vary.
    """
    from scipy.stats import ttest_1samp

    values = np.asarray(gains, dtype=np.float64)
    if len(values) < 2 or np.ptp(values) == 0:
        return None, 1.0
    found: Any = ttest_1samp(values, 0.0, alternative="greater")
    return float(found.statistic), float(found.pvalue)


def permutation(gains: ArrayLike, seed: int) -> float:
    """Return the p-value of the sum of oriented cluster gains, shape (clusters,), under swapping systems by cluster.

    A swap turns a cluster's sign, so p is the share of subsets of clusters whose gains sum to 0 or less: of all subsets
    up to 13 clusters that moved, else of 9,999 seeded ones, the observed sum counted in (Phipson & Smyth 2010). Valid
    whatever the gains' distribution, if a cluster's two answers could as well be the other way round; 1 where no
    cluster moved. scipy's `permutation_test` gives the same and takes some fifty times as long.
    """
    moved = np.sort(np.asarray(gains, dtype=np.float64))
    moved = moved[moved != 0]
    count, rounding = len(moved), 1e-12 * np.abs(moved).sum()
    if 2**count <= RESAMPLES:
        subsets = np.arange(2**count)[:, None] >> np.arange(count) & 1
        return float(np.mean(subsets @ moved <= rounding))
    rng, chunk = np.random.default_rng(seed), max(1, CHUNK // count)
    sizes = [min(chunk, RESAMPLES - start) for start in range(0, RESAMPLES, chunk)]
    drawn = [rng.integers(0, 2, (size, count), dtype=np.int8).astype(np.float64) @ moved for size in sizes]
    return float((np.sum(np.concatenate(drawn) <= rounding) + 1) / (RESAMPLES + 1))
