from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, permutation_test, ttest_rel

from mlops_assets.core.significance import holm, mcnemar, paired_t, permutation

P_VALUES = st.lists(st.floats(0, 1), max_size=30)
GAINS = st.lists(st.integers(-5, 5), max_size=11)


def test_holm_multiplies_the_smallest_by_all_and_the_next_by_those_left():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]).shape == (0,)


@given(P_VALUES)
def test_holm_keeps_the_order_never_helps_and_stays_a_probability(p: list[float]):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


@given(P_VALUES, st.randoms())
def test_holm_does_not_care_in_which_order_slices_come(p: list[float], chance):
    order = list(range(len(p)))
    chance.shuffle(order)
    assert holm([p[at] for at in order]) == pytest.approx(holm(p)[order])


@given(P_VALUES, st.floats(0, 1))
def test_looking_at_one_slice_more_makes_none_surer(p: list[float], one_more: float):
    assert (holm([*p, one_more])[: len(p)] >= holm(p)).all()


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (9, 0), (0, 9), (20, 7), (130, 100)])
def test_mcnemar_is_the_tail_of_a_fair_coin(better: int, worse: int):
    assert mcnemar(better, worse) == pytest.approx(binom.sf(better - 1, better + worse, 0.5))


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_of_both_directions_counts_the_observed_twice(better: int, worse: int):
    both = mcnemar(better, worse) + mcnemar(worse, better)
    assert both == pytest.approx(1 + binom.pmf(better, better + worse, 0.5))


def test_the_paired_t_is_scipys():
    rng = np.random.default_rng(1)
    new, old = rng.random(50), rng.random(50) - 0.1
    expected = ttest_rel(new, old, alternative="greater")
    assert paired_t(new - old) == pytest.approx((expected.statistic, expected.pvalue))  # pyright: ignore


@pytest.mark.parametrize("gains", [[], [1.0], [2.0, 2.0, 2.0], [0.0, 0.0]])
def test_a_paired_t_without_variation_says_nothing(gains: list[float]):
    assert paired_t(gains) == (None, 1.0)


def by_scipy(gains: list[float], flips: float) -> float:
    found = permutation_test(
        (np.array(gains),), lambda values, axis: values.sum(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=flips, alternative="greater", rng=np.random.default_rng(3),
    )  # fmt: skip
    return float(found.pvalue)


@given(GAINS.filter(lambda gains: sum(map(bool, gains)) > 1))
def test_few_clusters_are_swapped_in_every_way(gains: list[float]):
    assert permutation(gains, seed=1) == pytest.approx(by_scipy(gains, np.inf))


def test_many_clusters_are_swapped_at_random():
    gains = list(np.random.default_rng(5).normal(0.15, 1, 80))
    assert permutation(gains, seed=1) == pytest.approx(by_scipy(gains, 9_999), abs=0.015)
    assert permutation(gains, seed=1) == permutation(gains, seed=1) != permutation(gains, seed=2)
    assert permutation([1.0] * 80, seed=1) == 1e-4


@given(GAINS, st.integers(0, 3), st.randoms())
def test_a_permutation_does_not_care_for_order_or_for_clusters_that_stayed(gains: list[float], ties: int, chance):
    mixed = gains + [0] * ties
    chance.shuffle(mixed)
    assert permutation(mixed, seed=1) == permutation(gains, seed=1)


@pytest.mark.parametrize("draw", [np.random.Generator.standard_normal, np.random.Generator.standard_cauchy])
def test_a_permutation_is_right_about_any_symmetric_gains(draw: Callable[..., np.ndarray]):
    found = [permutation(draw(np.random.default_rng(seed), 9), seed) for seed in range(600)]
    assert np.mean(np.array(found) <= 0.05) <= 0.07
