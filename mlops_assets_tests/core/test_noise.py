import numpy as np
import pytest

from mlops_assets.core.errors import PlatformError
from mlops_assets.core.measures import Measure
from mlops_assets.core.noise import Noise, training_noise

CLUSTERS, EACH = 40, 5
LABELS = np.repeat(np.arange(CLUSTERS), EACH)
ONES = np.ones(len(LABELS))


def hits(rng: np.random.Generator, share: float, seeds: int, spread: float) -> list[np.ndarray]:
    """Items right or wrong; a seed's own share differs by `spread` from the recipe's."""
    shares = np.clip(share + spread * rng.standard_normal(seeds), 0, 1)
    return [(rng.random(len(LABELS)) < each).astype(float) for each in shares]


def noise(trained: list[np.ndarray], production: np.ndarray, *, clusters: np.ndarray = LABELS, seed: int = 1) -> Noise:
    return training_noise(
        Measure(("hit",), higher_is_better=True),
        [{"hit": (each, ONES)} for each in trained],
        {"hit": (production, ONES)},
        clusters,
        alpha=0.05,
        resamples=1000,
        seed=seed,
    )


def test_equal_seeds_leave_the_clusters_alone() -> None:
    rng = np.random.default_rng(0)
    better, worse = hits(rng, 0.8, 1, 0)[0], hits(rng, 0.5, 1, 0)[0]
    found = noise([better, better, better], worse)
    assert (found.mean, found.deviation) == (pytest.approx(better.mean() - worse.mean()), 0)
    assert found.lower is not None
    assert 0 < found.lower < found.mean
    assert found == noise([better, better, better], worse)


def test_seeds_that_differ_widen_the_bound() -> None:
    rng = np.random.default_rng(1)
    production, own = hits(rng, 0.5, 1, 0)[0], hits(rng, 0.7, 1, 0)[0]
    lucky, unlucky = own.copy(), own.copy()
    lucky[:20], unlucky[:20] = 1, 0
    same, differing = noise([own, own], production), noise([lucky, unlucky], production)
    assert same.lower is not None
    assert differing.lower is not None
    assert differing.deviation > 0
    assert differing.mean - differing.lower > same.mean - same.lower


def test_a_lower_metric_that_is_better_is_oriented() -> None:
    measure = Measure(("error",), higher_is_better=False)
    few, many = np.zeros(len(LABELS)), ONES
    kwargs = {"alpha": 0.05, "resamples": 1000, "seed": 1}
    found = training_noise(measure, [{"error": (few, ONES)}] * 2, {"error": (many, ONES)}, LABELS, **kwargs)
    assert (found.mean, found.lower) == (1, 1)


def test_one_seed_or_one_cluster_has_no_bound() -> None:
    assert noise([ONES], ONES).lower is None
    assert noise([ONES, ONES], ONES, clusters=np.zeros(len(LABELS))).lower is None


def test_a_metric_without_weight_is_an_error() -> None:
    with pytest.raises(PlatformError, match="no weight"):
        training_noise(
            Measure(("hit",), higher_is_better=True),
            [{"hit": (ONES, ONES)}],
            {"hit": (ONES, 0 * ONES)},
            LABELS,
            alpha=0.05,
            resamples=1000,
            seed=1,
        )


@pytest.mark.parametrize(("seeds", "spread"), [(2, 0.05), (3, 0.05), (5, 0.1)])
def test_a_recipe_that_is_no_better_seldom_seems_so(seeds: int, spread: float) -> None:
    rng = np.random.default_rng(seeds)
    wrong = 0
    for trial in range(300):
        production = hits(rng, 0.6, 1, 0)[0]
        found = noise(hits(rng, 0.6, seeds, spread), production, seed=trial)
        assert found.lower is not None
        wrong += found.lower > 0
    assert wrong / 300 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
