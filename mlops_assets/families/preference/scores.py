"""What a prediction is worth, as ratios of sums over events that resample by user.

Precision, recall and F1 of 'likes' are ratios of sums as they are. NDCG (Järvelin & Kekäläinen 2002, with the gains
2^(rating - lowest) - 1 and discounts 1 / log2(1 + rank) of Burges et al. 2005) belongs to a user: each of the user's n
events carries 1/n of it and weighs 1/n, so that the ratio of sums is the mean over users. Users whose ratings are all
equal have no order to find and weigh nothing; lists of k weigh only users with more than k events.
Equal predictions are ranked by the event's id: by chance, and the same chance every time.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import JsonValue

from mlops_assets.core.family import ItemScore, MetricSpec
from mlops_assets.core.records.data import Item
from mlops_assets.families.preference.config import Config, CustomMetric

_TITLES = {"accuracy": "Accuracy", "precision": "Precision", "recall": "Recall", "f1_score": "F1"}
Column = tuple[np.ndarray, np.ndarray]


def metrics(config: Config) -> tuple[MetricSpec, ...]:
    """Return the metrics of a line: errors of the rating, order, 004's metrics of 'likes', and the custom ones."""
    unit = "rating levels"
    found = [
        MetricSpec(name="rmse", higher_is_better=False, unit=unit, title="RMSE of the rating", root=True),
        MetricSpec(name="mae", higher_is_better=False, unit=unit, title="Mean absolute error of the rating"),
        MetricSpec(name="ndcg", higher_is_better=True, unit="NDCG, mean over users", title="NDCG per user"),
    ]
    found += [
        MetricSpec(
            name=name,
            higher_is_better=True,
            unit="F1" if name == "f1_score" else "share of events",
            title=f"{_TITLES[name]} of 'likes'",
        )
        for name in config.eval_metrics
    ]
    found += [
        MetricSpec(name="brier", higher_is_better=False, unit="squared error", title="Brier score of 'likes'"),
        MetricSpec(
            name="known_users", higher_is_better=True, unit="share of events", title="Events of users the model knows"
        ),
    ]
    found += [
        MetricSpec(name=each.name, higher_is_better=True, unit=_unit(each), title=_title(each))
        for each in config.custom_metrics
    ]
    return tuple(found)


def _unit(metric: CustomMetric) -> str:
    return {"within": "share of events", "hit_rate_at_k": "share of users"}.get(metric.kind, "mean over users")


def _title(metric: CustomMetric) -> str:
    if metric.kind == "within":
        return f"Ratings right to within {metric.tolerance:g}"
    return f"{metric.kind.removesuffix('_at_k').replace('_', ' ').capitalize()} at {metric.k}"


def score(items: Sequence[Item], predictions: Sequence[JsonValue], config: Config) -> list[dict[str, ItemScore]]:
    """Return per item the numerator and weight of every metric; a target is a right and certain prediction."""
    truth, said = (_answers(each) for each in ([item.target for item in items], predictions))
    rating, likes = truth["rating"], truth["likes"]
    error, hit, one = said["rating"] - rating, said["likes"] * likes, np.ones(len(items))
    columns: dict[str, Column] = {
        "rmse": (error**2, one),
        "mae": (np.abs(error), one),
        "brier": ((said["probability"] - likes) ** 2, one),
        "known_users": (said["known_user"], one),
        "accuracy": ((said["likes"] == likes).astype(float), one),
        "precision": (hit, said["likes"]),
        "recall": (hit, likes),
        "f1_score": (2 * hit, said["likes"] + likes),
    }
    columns |= {each.name: (one * 0, one * 0) for each in config.custom_metrics} | {"ndcg": (one * 0, one * 0)}
    for each in config.custom_metrics:
        if each.tolerance is not None:
            columns[each.name] = ((np.abs(error) <= each.tolerance + 1e-9).astype(float), one)
    for at in _users(items):
        ranked = at[np.lexsort((_ids(items, at), -said["rating"][at]))]
        gains, liked = 2.0 ** (rating - config.lowest_rating) - 1, likes[ranked]
        _spread(columns["ndcg"], at, _ndcg(gains[ranked], None))
        for each in config.custom_metrics:
            if each.k is not None and len(at) > each.k:
                _spread(columns[each.name], at, _at_k(each.kind, each.k, gains[ranked], liked))
    names = [metric.name for metric in metrics(config)]
    return [
        {name: ItemScore(numerator=float(columns[name][0][at]), weight=float(columns[name][1][at])) for name in names}
        for at in range(len(items))
    ]


def _answers(answers: Sequence[JsonValue]) -> Mapping[str, np.ndarray]:
    """Return rating, likes, probability of likes and known_user as float arrays; a target has no doubts."""
    rows = [each if isinstance(each, dict) else {} for each in answers]
    likes = np.array([float(bool(each.get("likes"))) for each in rows])
    return {
        "rating": np.array([float(str(each["rating"])) for each in rows]),
        "likes": likes,
        "probability": np.array(
            [float(str(row.get("probability", like))) for row, like in zip(rows, likes, strict=True)]
        ),
        "known_user": np.array([float(bool(each.get("known_user", True))) for each in rows]),
    }


def _users(items: Sequence[Item]) -> list[np.ndarray]:
    """Return the positions of each user's events."""
    by_user: dict[str, list[int]] = {}
    for at, item in enumerate(items):
        by_user.setdefault(item.cluster, []).append(at)
    return [np.array(at) for at in by_user.values()]


def _ids(items: Sequence[Item], at: np.ndarray) -> np.ndarray:
    return np.array([items[each].id for each in at])


def _spread(column: Column, at: np.ndarray, value: float | None) -> None:
    """Give each of a user's events an equal part of a value of the user."""
    if value is not None:
        column[0][at], column[1][at] = value / len(at), 1 / len(at)


def _at_k(kind: str, k: int, gains: np.ndarray, liked: np.ndarray) -> float | None:
    """Return a user's value of a list metric, events in predicted order; None where it cannot tell."""
    if kind == "ndcg_at_k":
        return _ndcg(gains, k)
    if not liked.any():
        return None
    found = float(liked[:k].sum())
    return float(found > 0) if kind == "hit_rate_at_k" else found / min(k, float(liked.sum()))


def _ndcg(gains: np.ndarray, k: int | None) -> float | None:
    if len(gains) < 2 or gains.min() == gains.max():
        return None
    discounts = 1 / np.log2(np.arange(2, len(gains[:k]) + 2))
    best = np.sort(gains)[::-1]
    return float(gains[:k] @ discounts) / float(best[:k] @ discounts)
