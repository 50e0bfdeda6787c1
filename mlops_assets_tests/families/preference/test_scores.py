import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.core.records.data import Item
from mlops_assets.families.preference import FAMILY
from mlops_assets.families.preference.config import Config
from mlops_assets_tests.families.preference.prepared import value

sk = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")

LISTS = Config.model_validate(
    {
        "custom_metrics": [
            {"name": "near", "kind": "within", "tolerance": 1},
            {"name": "hit", "kind": "hit_rate_at_k", "k": 2},
            {"name": "top", "kind": "precision_at_k", "k": 2},
            {"name": "first", "kind": "ndcg_at_k", "k": 2},
        ]
    }
)


def item(number: int, user: str, rating: int) -> Item:
    return Item(id=f"{number:04}", value={}, target={"rating": rating, "likes": rating >= 4}, cluster=user)


def said(rating: float, chance: float | None = None) -> dict:
    chance = (rating - 1) / 4 if chance is None else chance
    return {"rating": rating, "likes": chance >= 0.5, "probability": chance, "known_user": False}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 10_000)), min_size=3, max_size=30))
def test_the_numbers_are_scikit_learns(pairs):
    ratings = np.array([rating for rating, _ in pairs])
    guesses = np.array([1 + 4 * (guess + at / 100) / 10_001 for at, (_, guess) in enumerate(pairs)]).clip(1, 5)
    items, predictions = [item(at, "one", int(r)) for at, r in enumerate(ratings)], [said(g) for g in guesses]
    liked, named = ratings >= 4, guesses >= 3

    def found(name: str) -> float:
        return value(items, predictions, name, LISTS)

    assert found("rmse") == pytest.approx(sk.mean_squared_error(ratings, guesses))
    assert found("mae") == pytest.approx(sk.mean_absolute_error(ratings, guesses))
    assert found("accuracy") == pytest.approx(sk.accuracy_score(liked, named))
    assert found("brier") == pytest.approx(sk.brier_score_loss(liked, (guesses - 1) / 4))
    for name, function in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1_score", sk.f1_score)):
        weight = sum(score[name].weight for score in FAMILY.score(items, predictions, LISTS))
        if weight:
            assert found(name) == pytest.approx(function(liked, named))
    if len(set(ratings)) > 1 and len(set(guesses)) == len(guesses):
        gains = [2.0 ** (ratings - 1) - 1]
        assert found("ndcg") == pytest.approx(sk.ndcg_score(gains, [guesses], ignore_ties=True))
        assert found("first") == pytest.approx(sk.ndcg_score(gains, [guesses], k=2, ignore_ties=True))


def test_ndcg_and_lists_are_means_over_users_who_have_something_to_order():
    ordered = [item(at, "right", rating) for at, rating in enumerate((5, 4, 1))]
    wrong = [item(10 + at, "wrong", rating) for at, rating in enumerate((5, 1, 1, 1))]
    equal = [item(20 + at, "equal", 3) for at in range(3)]
    single = [item(30, "single", 5)]
    items = [*ordered, *wrong, *equal, *single]
    guesses = [said(g) for g in (5, 4, 1, 1, 4, 3, 2, 5, 5, 5, 1)]
    worst = 1 / np.log2(5)
    assert value(items, guesses, "ndcg", LISTS) == pytest.approx((1 + worst) / 2)
    assert value(items, guesses, "hit", LISTS) == pytest.approx(1 / 2)
    assert value(items, guesses, "top", LISTS) == pytest.approx((1 + 0) / 2)
    assert value(items, guesses, "near", LISTS) == pytest.approx((3 + 0) / 11, abs=0.5)
    weights = [score["ndcg"].weight for score in FAMILY.score(items, guesses, LISTS)]
    assert sum(weights) == pytest.approx(2)


def test_equal_predictions_are_ranked_the_same_way_in_any_order():
    items = [item(at, "one", 1 + at % 5) for at in range(10)]
    guesses = [said(3.0)] * 10
    once, again = (value(each, guesses, "ndcg", LISTS) for each in (items, items[::-1]))
    assert once == pytest.approx(again)
    assert once < 1


def test_metrics_follow_the_configuration():
    config = Config.model_validate(
        {"eval_metrics": ["f1_score"], "custom_metrics": LISTS.model_dump()["custom_metrics"]}
    )
    names = [metric.name for metric in FAMILY.metrics(config)]
    assert names == ["rmse", "mae", "ndcg", "f1_score", "brier", "known_users", "near", "hit", "top", "first"]
    assert [metric.name for metric in FAMILY.metrics(config) if metric.root] == ["rmse"]
    assert set(FAMILY.score([item(1, "a", 5)], [said(4.0)], config)[0]) == set(names)


@pytest.mark.parametrize(
    "wrong",
    [
        {"eval_metrics": ["auc"]},
        {"custom_metrics": [{"name": "hit", "kind": "hit_rate_at_k"}]},
        {"custom_metrics": [{"name": "hit", "kind": "within", "k": 3}]},
        {"custom_metrics": [{"name": "rmse", "kind": "within", "tolerance": 1}]},
        {"custom_metrics": [{"name": "x", "kind": "lambda: 1"}]},
        {"like_threshold": 1},
        {"like_threshold": 6},
        {"lowest_rating": -1000},
        {"categorical": ["type", "rating"]},
        {"categorical": [], "numeric": []},
        {"vocabulary": {"colour": ["red"]}},
        {"numeric": [{"column": "bars", "least": 2, "most": 1}]},
    ],
)
def test_a_configuration_that_means_nothing_is_refused(wrong):
    with pytest.raises(ValidationError):
        Config.model_validate(wrong)


def test_a_shown_answer_is_its_label():
    assert FAMILY.show(json.loads('{"rating": 4.2, "likes": true}')) == "likes"
    assert FAMILY.show({"rating": 1, "likes": False}) == "dislikes"
