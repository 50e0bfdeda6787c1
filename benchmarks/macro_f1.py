"""Bootstrap of macro-F1 by sums per class: 10,000 resamples against a loop over scikit-learn's f1_score.

Target: at least 100 times the loop, and the same numbers (asserted: the value to 1e-12, the bounds as the loop's
quantiles within its own noise, before any speed is said).

Learned: macro-F1 is no ratio of sums, but each class's F1 is (twice the hits over predictions and members together), so
items with equal (truth, candidate, production) are one cell, a resample is a multinomial over at most a few hundred
cells, and one matrix product gives every class of every resample. The loop is timed on a tenth of the resamples; what
it costs is proportional to them.
"""

import sys
from functools import partial

import numpy as np
from alternate import alternate, show
from sklearn.metrics import f1_score

from mlops_assets.core.measures import Measure
from mlops_assets.core.statistics import compare_all

CLASSES = 8
SHARE = 10
Columns = dict[str, tuple[np.ndarray, np.ndarray]]


def columns(truth: np.ndarray, said: np.ndarray) -> Columns:
    """Return each class's F1 as numerators and weights per item."""
    return {
        str(label): (2.0 * ((truth == label) & (said == label)), 1.0 * (truth == label) + (said == label))
        for label in range(CLASSES)
    }


def loop(truth: np.ndarray, new: np.ndarray, old: np.ndarray, resamples: int, seed: int = 3) -> np.ndarray:
    """Resample by drawing indices and asking scikit-learn: the plain way."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        at = rng.integers(0, len(truth), len(truth))
        found.append(f1_score(truth[at], new[at], average="macro") - f1_score(truth[at], old[at], average="macro"))
    return np.array(found)


def main(quick: bool, as_json: bool) -> None:
    """Assert that the numbers agree, then time ours against the loop."""
    items, resamples = (300, 1_000) if quick else (1_000, 10_000)
    rng = np.random.default_rng(1)
    truth = rng.integers(0, CLASSES, items)
    new, old = (np.where(rng.random(items) < right, truth, rng.integers(0, CLASSES, items)) for right in (0.8, 0.75))
    ours = partial(
        compare_all, {"macro_f1": Measure(tuple(map(str, range(CLASSES))), True)}, columns(truth, new),
        columns(truth, old), np.arange(items), alpha=0.05, margins={}, resamples=resamples, seed=1,
    )  # fmt: skip
    paired = ours()["macro_f1"]
    assert abs(paired.candidate - f1_score(truth, new, average="macro")) < 1e-12
    low, high = np.quantile(loop(truth, new, old, 1_000), [0.05, 0.95])
    assert paired.lower is not None
    assert paired.upper is not None
    noise = 0.15 * (high - low)
    assert abs(paired.lower - low) < noise, f"The lower bounds differ: {paired.lower:.4f} and {low:.4f}"
    assert abs(paired.upper - high) < noise, f"The upper bounds differ: {paired.upper:.4f} and {high:.4f}"

    timed = alternate(lambda: loop(truth, new, old, resamples // SHARE), ours, rounds=5)
    figures = {
        "macro-F1, items x resamples": f"{items} x {resamples}",
        "compare_all() seconds": timed.b_seconds,
        f"a {SHARE}th of the scikit-learn loop / compare_all()": timed,
        "scikit-learn loop / compare_all(), times": SHARE * timed.median,
    }
    show(figures, as_json)


if __name__ == "__main__":
    main("--quick" in sys.argv, "--json" in sys.argv)
