"""Scores of messages as ratios of sums: one label as every classifier is scored, several per dimension."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from mlops_assets.core.classification import classification_metrics, classification_scores
from mlops_assets.core.family import ItemScore, MetricSpec
from mlops_assets.core.records.data import Item
from mlops_assets.families.text.answers import label_of
from mlops_assets.families.text.config import NO_LABEL, Config

UNIT = "messages"


def metrics(config: Config) -> tuple[MetricSpec, ...]:
    """Return the metrics of a line, the most telling first."""
    if config.task == "multi_label":
        return _several_metrics(config.labels)
    found = classification_metrics(config.labels, UNIT)
    if config.task == "single_label":
        return found
    error = MetricSpec(
        name="score_error", higher_is_better=False, unit="score", title="Mean absolute error of the score"
    )
    return (*found, error)


def scores(items: Sequence[Item], predictions: Sequence[JsonValue], config: Config) -> list[dict[str, ItemScore]]:
    """Return per item the scores of every metric that is no mean."""
    if config.task == "multi_label":
        return [_several(item, found, config.labels) for item, found in zip(items, predictions, strict=True)]
    found = classification_scores(
        config.labels,
        [str(item.target) for item in items],
        [label_of(prediction) for prediction in predictions],
        [_shares(prediction, "probabilities") for prediction in predictions],
    )
    if config.task == "binary":
        for item, prediction, each in zip(items, predictions, found, strict=True):
            each["score_error"] = _score_error(item, prediction, config)
    return found


def _several_metrics(labels: Sequence[str]) -> tuple[MetricSpec, ...]:
    per_label = tuple(
        MetricSpec(name=f"f1_class_{label}", higher_is_better=True, unit="F1", title=f"F1 of {label}", sliced=False)
        for label in labels
    )
    macro = MetricSpec(
        name="macro_f1",
        higher_is_better=True,
        unit="F1",
        title="Macro-F1",
        mean_of=tuple(each.name for each in per_label),
    )
    subset = MetricSpec(
        name="subset_accuracy", higher_is_better=True, unit=f"share of {UNIT}", title="All dimensions right"
    )
    hamming = MetricSpec(name="hamming", higher_is_better=False, unit="share of labels", title="Hamming loss")
    brier = MetricSpec(name="brier", higher_is_better=False, unit="squared error", title="Brier score per dimension")
    return (macro, subset, hamming, brier, *per_label)


def _several(item: Item, prediction: JsonValue, labels: Sequence[str]) -> dict[str, ItemScore]:
    wanted, given = (set(label_of(each).split(";")) - {NO_LABEL} for each in (item.target, prediction))
    shares = _shares(prediction, "dimensions") or {label: float(label in given) for label in labels}
    squares = sum((shares.get(label, 0.0) - (label in wanted)) ** 2 for label in labels)
    scored = {
        "subset_accuracy": ItemScore(numerator=float(wanted == given), weight=1.0),
        "hamming": ItemScore(numerator=float(len(wanted ^ given)), weight=float(len(labels))),
        "brier": ItemScore(numerator=squares, weight=float(len(labels))),
    }
    for label in labels:
        member, named = float(label in wanted), float(label in given)
        scored[f"f1_class_{label}"] = ItemScore(numerator=2 * member * named, weight=member + named)
    return scored


def _score_error(item: Item, prediction: JsonValue, config: Config) -> ItemScore:
    """Return the distance from the submitted score, without weight where none was; a target has no distance."""
    wanted = item.attributes.get(f"score:{config.score_column}")
    if wanted is None:
        return ItemScore(numerator=0.0, weight=0.0)
    given = prediction.get("score") if isinstance(prediction, dict) else None
    if not isinstance(given, int | float):
        given = wanted if label_of(prediction) == item.target else 1 - float(wanted)
    return ItemScore(numerator=abs(float(given) - float(wanted)), weight=1.0)


def _shares(prediction: JsonValue, key: str) -> Mapping[str, float] | None:
    shares = prediction.get(key) if isinstance(prediction, dict) else None
    return shares if isinstance(shares, dict) else None  # pyright: ignore[reportReturnType]
