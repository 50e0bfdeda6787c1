"""Scores of single-label classifiers as ratios of sums, for every family that classifies.

Accuracy is hits over items. Precision, recall and F1 of a class are ratios of sums too: hits over predictions, hits
over members, and twice the hits over both together. Macro-F1 is the mean of the classes' F1, as scikit-learn gives it
with its default labels: a class that neither occurs nor is predicted is left out. The Brier score (Brier 1950, the sum
over classes) is proper: it rewards honest probabilities, where accuracy does not look at them.
"""

from collections.abc import Mapping, Sequence

from mlops_assets.core.family import ItemScore, MetricSpec


def classification_metrics(labels: Sequence[str], unit: str) -> tuple[MetricSpec, ...]:
    """Return accuracy, macro-F1, Brier score, and precision, recall and F1 of each label; `unit` such as 'images'."""
    share = f"share of {unit}"
    metrics = [
        MetricSpec(name="accuracy", higher_is_better=True, unit=share, title="Accuracy"),
        MetricSpec(
            name="macro_f1",
            higher_is_better=True,
            unit="F1",
            title="Macro-F1",
            mean_of=tuple(f"f1_class_{label}" for label in labels),
        ),
        MetricSpec(name="brier", higher_is_better=False, unit="squared error", title="Brier score"),
    ]
    for name, title in (("f1", "F1"), ("precision", "Precision"), ("recall", "Recall")):
        metrics += [
            MetricSpec(
                name=f"{name}_class_{label}",
                higher_is_better=True,
                unit=title if name == "f1" else share,
                title=f"{title} of {label}",
                sliced=False,
            )
            for label in labels
        ]
    return tuple(metrics)


def classification_scores(
    labels: Sequence[str],
    targets: Sequence[str],
    predicted: Sequence[str],
    probabilities: Sequence[Mapping[str, float] | None],
) -> list[dict[str, ItemScore]]:
    """Return per item the scores of `classification_metrics`, the mean excepted.

    `probabilities` are by label, in 0..1; None stands for certainty in what was predicted. A target or prediction
    outside of `labels` is a miss.
    """
    return [
        _scores(labels, target, found, shares)
        for target, found, shares in zip(targets, predicted, probabilities, strict=True)
    ]


def _scores(
    labels: Sequence[str], target: str, predicted: str, shares: Mapping[str, float] | None
) -> dict[str, ItemScore]:
    sure = {predicted: 1.0} if shares is None else shares
    brier = sum((sure.get(label, 0.0) - (label == target)) ** 2 for label in {*labels, *sure, target})
    scores = {
        "accuracy": ItemScore(numerator=float(target == predicted), weight=1.0),
        "brier": ItemScore(numerator=brier, weight=1.0),
    }
    for label in labels:
        member, named = float(target == label), float(predicted == label)
        hit = member * named
        scores[f"f1_class_{label}"] = ItemScore(numerator=2 * hit, weight=member + named)
        scores[f"precision_class_{label}"] = ItemScore(numerator=hit, weight=named)
        scores[f"recall_class_{label}"] = ItemScore(numerator=hit, weight=member)
    return scores
