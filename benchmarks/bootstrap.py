"""Paired bootstrap of corpus WER: 10,000 resamples of 10,000 items, against index gathering and scipy.

Target: at most 0.1 s, and the same distribution as scipy's (KS distance below 0.02, asserted before any speed is said).

Learned: drawing 10,000 x 10,000 indices is memory-bound. Items with equal (difference, words) are one cell, about 70 of
them for 12-word utterances, and a multinomial over cells costs some 80 ns a cell and resample, whatever their order and
generator. One joint table of (candidate, production, words) has 300 cells and costs 0.2 s; so the difference has a
table of its own, and the intervals of the single systems, which are only shown, are linearised.
"""

import sys
from functools import partial

import numpy as np
from alternate import alternate, show
from scipy.stats import bootstrap, ks_2samp

from mlops_assets.core.resampling import resample_sums
from mlops_assets.core.statistics import compare


def gather(gains: np.ndarray, words: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Resample by drawing indices, in blocks that fit the cache: the plain way."""
    parts = []
    for _ in range(resamples // 100):
        index = rng.integers(0, len(gains), (100, len(gains)))
        parts.append(gains[index].sum(axis=1) / words[index].sum(axis=1))
    return np.concatenate(parts)


def main(quick: bool, as_json: bool) -> None:
    """Assert that the distributions agree, then time ours against both."""
    items, resamples = (2_000, 2_000) if quick else (10_000, 10_000)
    rng = np.random.default_rng(1)
    words = rng.poisson(11, items) + 1
    new = rng.binomial(words, 0.12)
    old = np.clip(new + rng.integers(-1, 2, items) * (rng.random(items) < 0.3), 0, None)
    gains = old - new
    cells = np.column_stack([gains, words]).astype(float)

    by_scipy = partial(
        bootstrap, (gains, words), lambda g, w, axis: g.sum(axis) / w.sum(axis),
        paired=True, vectorized=True, n_resamples=resamples, method="percentile", batch=100,
    )  # fmt: skip
    ours = partial(
        compare, (new, words), (old, words), np.arange(items),
        higher_is_better=False, alpha=0.05, margin=0.003, resamples=resamples, seed=1,
    )  # fmt: skip
    drawn = resample_sums(cells, 10_000, np.random.default_rng(2))
    expected = by_scipy(n_resamples=10_000, rng=np.random.default_rng(3)).bootstrap_distribution
    distance = float(ks_2samp(drawn[:, 0] / drawn[:, 1], expected).statistic)
    assert distance < 0.02, f"The distributions differ: KS distance {distance:.3f}"

    against_gather = alternate(lambda: gather(gains, words, resamples, rng), ours, rounds=7)
    figures = {
        "items x resamples": f"{items} x {resamples}",
        "KS distance to scipy": distance,
        "compare() seconds": against_gather.b_seconds,
        "a look at 0.0025 / compare()": alternate(partial(ours, gain_alpha=0.0025), ours, rounds=7),
        "index gathering / compare()": against_gather,
        "scipy percentile / compare()": alternate(by_scipy, ours, rounds=7),
    }
    show(figures, as_json)


if __name__ == "__main__":
    main("--quick" in sys.argv, "--json" in sys.argv)
