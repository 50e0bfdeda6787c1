"""What a comparison says of two systems, whatever they scored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, ks_2samp
from sklearn.metrics import f1_score

from mlops_assets.core.errors import PlatformError
from mlops_assets.core.measures import Measure
from mlops_assets.core.resampling import resample_sums
from mlops_assets.core.statistics import compare, compare_all, degraded_share
from mlops_assets_tests.core.pairs import PER_LOOK, changed_hits, f1_columns, judge, utterances


@pytest.mark.parametrize("clusters", [20, 30, 60])
@pytest.mark.parametrize("last", [0.0, 0.1])
def test_a_gain_that_all_but_one_share_is_sure(clusters: int, last: float):
    """One that stays as it was, or loses a tenth of what each other gains, is not luck: 2^-19 is."""
    new, words = np.append(np.zeros(clusters - 1), 1 + last), np.ones(clusters)
    found = judge(new, words, words, np.arange(clusters), gain_alpha=PER_LOOK)
    assert (found.gain_lower or 0) > 0
    assert judge(words, new, words, np.arange(clusters), alpha=PER_LOOK).upper == -(found.gain_lower or 0)


def test_a_class_of_three_items_cannot_be_surely_better_or_worse():
    new, old, weight = np.zeros(60), np.zeros(60), np.zeros(60)
    weight[:3], old[:3] = 1, 1
    ahead, behind = judge(new, old, weight, np.arange(60)), judge(old, new, weight, np.arange(60))
    assert (ahead.delta, ahead.lower, ahead.upper) == (1, 0, 1)
    assert (behind.delta, behind.lower, behind.upper) == (-1, -1, 0)
    assert behind.harm == 1 / 8


def test_the_bounds_of_a_difference_of_shares_are_possible_differences():
    found = changed_hits(7, 0, 1)
    assert found.upper == 1
    assert -1 <= (changed_hits(1, 6, 0, alpha=PER_LOOK).lower or 0) < 0
    assert (judge(np.full(9, 8.0), np.arange(9) * 9, np.ones(9), np.arange(9)).upper or 0) > 1


def test_a_look_spends_less_and_so_claims_less():
    arrays = utterances(11, 30, 4)
    plain = judge(*arrays, resamples=10_000)
    looked = judge(*arrays, gain_alpha=PER_LOOK)
    assert plain.gain_lower is None
    assert looked.gain_lower is not None
    assert looked.lower is not None
    assert looked.gain_lower < looked.lower
    assert (looked.lower, looked.upper, looked.delta) == (plain.lower, plain.upper, plain.delta)
    assert looked == judge(*arrays, gain_alpha=PER_LOOK, resamples=10_000)
    assert looked.detectable is not None
    assert plain.detectable is not None
    assert 1.3 < looked.detectable / plain.detectable < 1.8
    assert (looked.items_needed or 0) > (plain.items_needed or 0)


@given(st.integers(0, 10_000), st.integers(2, 30), st.floats(0.001, 0.2), st.floats(0.001, 0.2))
def test_the_smaller_the_error_the_lower_the_bound(seed: int, clusters: int, one: float, other: float):
    alpha, gain_alpha = max(one, other), min(one, other)
    found = judge(*utterances(seed, clusters, 3), alpha=alpha, gain_alpha=gain_alpha)
    assert found.gain_lower is not None
    assert found.lower is not None
    assert found.gain_lower <= found.lower
    same = judge(*utterances(seed, clusters, 3), alpha=alpha, gain_alpha=alpha)
    assert same.gain_lower == same.lower


@given(st.integers(0, 10_000), st.integers(6, 30))
def test_harm_is_small_where_the_upper_bound_is_below_zero(seed: int, clusters: int):
    new, old, words, speaker = utterances(seed, clusters, 4)
    ahead, behind = judge(new + speaker % 2, old, words, speaker), judge(old, new + speaker % 2, words, speaker)
    for paired in (ahead, behind):
        assert paired.harm is not None
        assert paired.upper is not None
        assert paired.harm <= 0.07 if paired.upper < 0 else paired.harm > 0.03
    assert judge(new, new, words, speaker).harm == 1


def test_the_distribution_is_scipys():
    new, old, words, speaker = utterances(3, 400, 1)
    expected = bootstrap(
        (new, old, words),
        lambda a, b, w, axis: (b.sum(axis) - a.sum(axis)) / w.sum(axis),
        paired=True, vectorized=True, n_resamples=20_000, method="percentile", batch=1_000,
        confidence_level=0.9, rng=np.random.default_rng(1),
    )  # fmt: skip
    for cells in (np.column_stack([old - new, words]), np.column_stack([old - new + words * 1e-9, words])):
        drawn = resample_sums(np.repeat(cells, 1, axis=0).astype(float), 20_000, np.random.default_rng(2))
        assert ks_2samp(drawn[:, 0] / drawn[:, 1], expected.bootstrap_distribution).statistic < 0.02
    ours = judge(new, old, words, speaker, resamples=20_000)
    assert ours.lower == pytest.approx(expected.confidence_interval.low, abs=0.05 * expected.standard_error)
    assert ours.upper == pytest.approx(expected.confidence_interval.high, abs=0.05 * expected.standard_error)


def test_cells_and_rows_give_the_same_distribution():
    rng = np.random.default_rng(5)
    cells = np.column_stack([rng.integers(-1, 2, 500), np.full(500, 4)]).astype(float)
    apart = cells + np.column_stack([np.arange(500) * 1e-9, np.zeros(500)])
    drawn = [resample_sums(rows, 20_000, np.random.default_rng(7))[:, 0] for rows in (cells, apart)]
    assert ks_2samp(np.round(drawn[0]), np.round(drawn[1])).statistic < 0.02


@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 4))
def test_order_of_items_names_of_clusters_and_repetition_do_not_matter(seed: int, clusters: int, per_cluster: int):
    arrays = utterances(seed, clusters, per_cluster)
    order = np.random.default_rng(seed).permutation(len(arrays[0]))
    expected = judge(*arrays)
    assert judge(*(part[order] for part in arrays)) == expected
    new, old, words, speaker = arrays
    assert judge(new, old, words, np.array([f"speaker {clusters - x}" for x in speaker])) == expected


@given(st.integers(0, 10_000), st.integers(6, 30))
def test_swapping_the_systems_turns_the_sign(seed: int, clusters: int):
    new, old, words, speaker = utterances(seed, clusters, 3)
    ahead, behind = judge(new, old, words, speaker), judge(old, new, words, speaker)
    assert ahead.delta is not None
    assert behind.delta is not None
    assert behind.delta == pytest.approx(-ahead.delta)
    assert (behind.candidate, behind.production) == (ahead.production, ahead.candidate)
    if ahead.detectable is not None and behind.lower is not None and ahead.upper is not None:
        assert behind.lower == pytest.approx(-ahead.upper, abs=0.2 * ahead.detectable)


@given(st.integers(0, 10_000), st.sampled_from([2, 8, 0.5]))
def test_scaling_errors_scales_everything(seed: int, factor: float):
    new, old, words, speaker = utterances(seed, 8, 3)
    one, scaled = judge(new, old, words, speaker), judge(new * factor, old * factor, words, speaker)
    for name in ("candidate", "production", "delta", "lower", "upper", "detectable"):
        assert getattr(scaled, name) == pytest.approx(getattr(one, name) * factor)


def test_duplicated_items_add_nothing_within_a_cluster():
    arrays = utterances(1, 12, 3)
    once, twice = judge(*arrays), judge(*(np.repeat(part, 2) for part in arrays))
    assert (twice.delta, twice.lower, twice.upper) == (once.delta, once.lower, once.upper)
    assert twice.n == 2 * once.n


def test_higher_is_better_turns_the_direction():
    hits, ones = np.array([1, 1, 1, 0, 1, 1]), np.ones(6)
    better = compare(
        (hits, ones), (1 - hits, ones), range(6), higher_is_better=True, alpha=0.05, margin=0, resamples=1_000, seed=1
    )
    assert better.delta == pytest.approx(4 / 6)
    assert better.items_needed is None


def test_weights_that_differ_between_the_systems():
    new, old, words, speaker = utterances(2, 30, 4)
    paired = compare(
        (new, words), (old, words + (speaker == 0)), speaker,
        higher_is_better=False, alpha=0.05, margin=0.003, resamples=4_000, seed=1,
    )  # fmt: skip
    same = judge(new, old, words, speaker, resamples=4_000)
    assert paired.lower is not None
    assert same.lower is not None
    assert same.detectable is not None
    assert paired.lower == pytest.approx(same.lower, abs=0.3 * same.detectable)


def test_equal_predictions_differ_by_exactly_nothing():
    new, _, words, speaker = utterances(4, 20, 3)
    paired = judge(new, new, words, speaker)
    assert (paired.delta, paired.lower, paired.upper) == (0, 0, 0)
    assert (paired.detectable, paired.items_needed) == (None, None)


def test_one_cluster_has_values_and_no_bounds():
    new, old, words, _ = utterances(4, 20, 3)
    paired = judge(new, old, words, np.zeros(len(words)))
    assert paired.delta is not None
    assert (paired.lower, paired.upper, paired.candidate_interval, paired.items_needed) == (None, None, None, None)


def test_without_production_there_is_one_system():
    new, _, words, speaker = utterances(4, 20, 3)
    paired = compare(
        (new, words), None, speaker, higher_is_better=False, alpha=0.05, margin=0.003, resamples=1_000, seed=1
    )
    assert paired.candidate_interval is not None
    assert paired.candidate_interval[0] < paired.candidate < paired.candidate_interval[1]
    assert (paired.production, paired.delta, paired.lower) == (None, None, None)


def test_unusable_scores_are_refused():
    ones = np.ones(3)
    with pytest.raises(PlatformError, match="no scored items"):
        judge(np.array([]), np.array([]), np.array([]), np.array([]))
    with pytest.raises(PlatformError, match="weigh nothing"):
        judge(ones, ones, 0 * ones, np.arange(3))
    with pytest.raises(ValueError, match="finite"):
        judge(ones * np.nan, ones, ones, np.arange(3))
    with pytest.raises(ValueError, match="shape"):
        judge(ones, ones, np.ones(4), np.arange(3))
    with pytest.raises(ValueError, match="cluster labels"):
        judge(ones, ones, ones, np.arange(4))


def test_items_without_words_count_their_errors():
    new, old, words = np.array([3, 0, 1, 0]), np.array([0, 0, 1, 2]), np.array([0, 5, 5, 5])
    paired = judge(new, old, words, np.arange(4))
    assert paired.candidate == pytest.approx(4 / 15)
    assert paired.lower is not None


def test_degraded_share():
    old, words = np.array([2, 4, 0, 0]), np.array([10, 10, 10, 0])
    new = np.array([3, 7, 1, 0])
    assert degraded_share((new, words), (old, words), higher_is_better=False) == 0.5
    assert degraded_share(([1, 0], [1, 1]), ([1, 1], [1, 1]), higher_is_better=True) == 0.5
    assert degraded_share((old, words), (old, words), higher_is_better=False) == 0


def labelled(seed: int, items: int = 240, right: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """Truth and answers over four classes, `right` of them right."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, items)
    return truth, np.where(rng.random(items) < right, truth, rng.integers(0, 4, items))


MACRO = {"macro_f1": Measure(("0", "1", "2", "3"), higher_is_better=True)}
SETTINGS = {"alpha": 0.05, "margins": {"macro_f1": 0.02}, "resamples": 4_000, "seed": 5}


def test_macro_f1_and_its_bounds_are_those_of_a_loop_over_scikit_learn():
    truth, old = labelled(1)
    new = np.where(np.random.default_rng(3).random(len(truth)) < 0.4, truth, old)
    found = compare_all(MACRO, f1_columns(truth, new), f1_columns(truth, old), np.arange(len(truth)), **SETTINGS)
    paired = found["macro_f1"]
    assert paired.candidate == pytest.approx(f1_score(truth, new, average="macro"))
    assert paired.production == pytest.approx(f1_score(truth, old, average="macro"))
    rng = np.random.default_rng(9)
    drawn = []
    for _ in range(600):
        at = rng.integers(0, len(truth), len(truth))
        drawn.append(f1_score(truth[at], new[at], average="macro") - f1_score(truth[at], old[at], average="macro"))
    low, high = np.quantile(drawn, [0.05, 0.95])
    assert paired.lower == pytest.approx(low, abs=0.012)
    assert paired.upper == pytest.approx(high, abs=0.012)


def test_equal_systems_differ_by_nothing_in_any_metric():
    truth, said = labelled(4)
    columns = f1_columns(truth, said) | {"error": ((truth - said) ** 2.0, np.ones(len(truth)))}
    measures = MACRO | {"rmse": Measure(("error",), higher_is_better=False, root=True)}
    for paired in compare_all(measures, columns, columns, np.arange(len(truth)), **SETTINGS).values():
        assert (paired.delta, paired.lower, paired.upper) == (0, 0, 0)


def test_the_root_of_a_ratio_is_compared_as_a_root():
    rng = np.random.default_rng(6)
    new, old = rng.normal(0, 1, 500) ** 2, rng.normal(0, 1.5, 500) ** 2
    measures = {"rmse": Measure(("error",), higher_is_better=False, root=True)}
    weight = np.ones(500)
    found = compare_all(measures, {"error": (new, weight)}, {"error": (old, weight)}, np.arange(500), **SETTINGS)
    paired = found["rmse"]
    assert paired.candidate == pytest.approx(np.sqrt(new.mean()))
    assert paired.delta == pytest.approx(np.sqrt(old.mean()) - np.sqrt(new.mean()))
    assert paired.lower is not None
    assert paired.upper is not None
    assert 0.3 < paired.lower < paired.delta < paired.upper < 0.7
    assert paired.candidate_interval is not None
    spread = np.std([np.sqrt(rng.choice(new, 500).mean()) for _ in range(500)])
    assert (paired.candidate_interval[1] - paired.candidate) / 1.65 == pytest.approx(spread, rel=0.15)


def test_a_metric_without_weight_is_left_out_and_one_that_production_lacks_has_no_difference():
    truth, _ = labelled(7)
    never = np.zeros(len(truth))
    candidate = {"seen": (never + 1, never + 1), "unseen": (never, never), "new": (never + 1, never + 1)}
    production = {"seen": (never + 1, never + 1), "unseen": (never, never), "new": (never, never)}
    measures = {name: Measure((name,), higher_is_better=True) for name in candidate}
    found = compare_all(measures, candidate, production, truth, **SETTINGS)
    assert set(found) == {"seen", "new"}
    assert found["seen"].delta == 0
    assert (found["new"].candidate, found["new"].production, found["new"].delta) == (1, None, None)


def test_what_is_compared_beside_it_does_not_move_a_value():
    truth, new = labelled(8)
    _, old = labelled(9)
    alone = compare_all(MACRO, f1_columns(truth, new), f1_columns(truth, old), truth, **SETTINGS)["macro_f1"]
    measures = MACRO | {name: Measure((name,), True) for name in "0123"}
    beside = compare_all(measures, f1_columns(truth, new), f1_columns(truth, old), truth, **SETTINGS)["macro_f1"]
    assert (alone.candidate, alone.delta) == (beside.candidate, beside.delta)
