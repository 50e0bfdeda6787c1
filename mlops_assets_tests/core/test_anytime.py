"""E-values and bounds: equal to what they are defined as, valid under the hypothesis, and the same in any pieces."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from mlops_assets.core.anytime import (
    PRIOR,
    Evidence,
    Gathering,
    clustering,
    design_effect,
    joined,
    log_e,
    two_sided,
    upper_bound,
)

CHANCES = st.sampled_from([0.02, 0.1, 0.25, 0.5, 0.8])
Observed = list[tuple[bool, float, str]]
OBSERVED = st.lists(st.tuples(st.booleans(), CHANCES, st.sampled_from("abcdefgh")), max_size=60)


def gathered(observed: Observed, start: Evidence | None = None) -> Evidence:
    gathering = Gathering(start or Evidence())
    for hit, p, who in observed:
        gathering.add(hit, p, who)
    return gathering.done()


def integrated(tallies: dict[str, tuple[int, int]]) -> float:
    """The e-value as its definition has it, by adaptive quadrature, in parts around its mode."""

    def log_density(w: float) -> float:
        total = beta.logpdf(w, *PRIOR)
        for p, (hits, misses) in tallies.items():
            total += misses * math.log1p(-w) - (hits + misses) * math.log1p(-(1 - float(p)) * w)
        return float(total)

    grid = np.linspace(1e-6, 1 - 1e-6, 4_001)
    largest = max(log_density(w) for w in grid)
    mode = grid[int(np.argmax([log_density(w) for w in grid]))]
    value = quad(lambda w: math.exp(log_density(w) - largest), 0, 1, points=[mode], limit=500, epsrel=1e-9)[0]
    return largest + math.log(value)


@pytest.mark.parametrize(
    "tallies",
    [
        {"0.1": (30, 100)},
        {"0.1": (0, 50)},
        {"0.5": (25, 25)},
        {"0.1": (12, 40), "0.25": (9, 20), "0.5": (40, 38)},
        {"0.2": (300, 700)},
        {"0.9": (5, 0)},
    ],
)
def test_the_e_value_is_the_integral_that_defines_it(tallies: dict[str, tuple[int, int]]) -> None:
    assert log_e(tallies) == pytest.approx(integrated(tallies), abs=1e-3)


@pytest.mark.parametrize("p", [0.05, 0.3, 0.7])
def test_under_the_hypothesis_it_is_one_in_the_mean_after_any_number(p: float) -> None:
    """Exactly: the sum over all counts of 40 observations, each with its binomial probability."""
    n = 40
    total = sum(
        math.comb(n, hits) * p**hits * (1 - p) ** (n - hits) * math.exp(log_e({f"{p}": (hits, n - hits)}))
        for hits in range(n + 1)
    )
    assert total == pytest.approx(1, rel=1e-9)


def test_it_exceeds_its_limit_seldom_however_often_it_is_looked_at() -> None:
    chance = np.random.default_rng(1)
    limit, times, over = math.log(20), 2_000, 0
    hits = np.cumsum(chance.random((times, 400)) < 0.1, axis=1)
    for path in hits:
        over += any(log_e({"0.1": (int(path[n]), n + 1 - int(path[n]))}) >= limit for n in range(9, 400, 10))
    assert over / times <= 0.05


@given(OBSERVED, st.integers(0, 60))
def test_evidence_is_the_same_in_any_pieces_and_through_json(observed: Observed, cut: int) -> None:
    at_once = gathered(observed)
    in_two = gathered(observed[cut:], Evidence.parse(gathered(observed[:cut]).canonical_json()))
    assert in_two.tallies == at_once.tallies
    assert in_two.crowd == at_once.crowd
    assert in_two.log_e == pytest.approx(at_once.log_e)
    assert in_two.peak >= at_once.peak
    assert Evidence.parse(at_once.canonical_json()) == at_once


@given(OBSERVED, st.data())
def test_one_more_hit_in_place_of_a_miss_is_never_less_evidence(observed: Observed, data: st.DataObject) -> None:
    misses = [at for at, (hit, _, _) in enumerate(observed) if not hit]
    if not misses:
        return
    at = data.draw(st.sampled_from(misses))
    worse = [(True, p, who) if each == at else (hit, p, who) for each, (hit, p, who) in enumerate(observed)]
    assert gathered(worse).log_e >= gathered(observed).log_e - 1e-9


def test_one_user_is_never_evidence_enough_however_much_goes_wrong() -> None:
    alone = gathered([(True, 0.1, "heavy")] * 5_000)
    many = gathered([(True, 0.1, f"user{each}") for each in range(20)])
    assert alone.log_e < math.log(1 / 0.1) < math.log(1_000) < many.log_e
    few_others = gathered([(True, 0.1, "heavy")] * 5_000 + [(False, 0.1, f"user{each}") for each in range(40)])
    assert few_others.log_e < 1


def test_a_sketch_knows_how_unevenly_users_are_represented() -> None:
    even: dict[int, int] = {}
    uneven: dict[int, int] = {}
    for each in range(2_000):
        joined(even, f"user{each}")
        joined(uneven, f"user{each % 20}")
    assert design_effect(even, 2_000) == pytest.approx(1, abs=0.25)
    assert design_effect(uneven, 2_000) == pytest.approx(100, rel=0.3)
    assert clustering(uneven, uneven, 0.5, 2_000) == pytest.approx(100, rel=0.3)


def test_hits_that_do_not_cling_to_users_are_not_called_clustered() -> None:
    chance = np.random.default_rng(3)
    all_: dict[int, int] = {}
    hits: dict[int, int] = {}
    for at, hit in enumerate(chance.random(20_000) < 0.05):
        joined(all_, f"user{at % 100}")
        if hit:
            joined(hits, f"user{at % 100}")
    assert clustering(hits, all_, 0.05, 20_000) < 1.6


def test_too_few_hits_are_evidence_for_two_sides_only() -> None:
    few = gathered([(False, 0.5, f"user{each}") for each in range(60)])
    assert few.log_e < 0
    assert two_sided(few) > math.log(1_000)


@settings(max_examples=40)
@given(st.integers(0, 40), st.integers(41, 4_000), st.integers(0, 40), st.integers(41, 4_000))
def test_a_bound_is_above_the_difference_and_rises_with_harm(k: int, n: int, j: int, m: int) -> None:
    bound = upper_bound((k, n), (j, m), alpha=0.05)
    worse = upper_bound((k + 1, n), (j, m), alpha=0.05)
    clustered = upper_bound((k, n), (j, m), alpha=0.05, effect=4)
    assert bound is not None
    assert worse is not None
    assert clustered is not None
    assert max(0, k / n - j / m) <= bound <= worse + 1e-9
    assert bound <= clustered + 1e-9 <= 1 + 1e-9


def test_a_bound_holds_at_all_times_at_once() -> None:
    chance = np.random.default_rng(2)
    for stable, more in ((0.0, 0.01), (0.01, 0.01), (0.05, 0.02)):
        wrong = 0
        for _ in range(100):
            ours = np.cumsum(chance.random(4_000) < stable + more)
            theirs = np.cumsum(chance.random(12_000) < stable)
            bounds = (
                upper_bound((int(ours[n - 1]), n), (int(theirs[3 * n - 1]), 3 * n), alpha=0.05)
                for n in range(200, 4_000, 200)
            )
            wrong += any(bound is not None and bound < more for bound in bounds)
        assert wrong <= 10


def test_nothing_is_bounded_without_both_arms() -> None:
    assert upper_bound((0, 0), (1, 100), alpha=0.05) is None
    assert upper_bound((0, 10), (0, 0), alpha=0.05) is None
