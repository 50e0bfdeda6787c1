import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, precision_recall_fscore_support

from mlops_assets.core.classification import classification_metrics, classification_scores
from mlops_assets.core.family import ItemScore
from mlops_assets.core.measures import Measure
from mlops_assets.core.statistics import values

LABELS = ("a", "b", "c", "d")
named = st.sampled_from(LABELS)


def measured(scores: list[dict[str, ItemScore]]) -> dict[str, float]:
    columns = {
        name: (np.array([each[name].numerator for each in scores]), np.array([each[name].weight for each in scores]))
        for name in scores[0]
    }
    measures = {
        metric.name: Measure(metric.mean_of or (metric.name,), metric.higher_is_better)
        for metric in classification_metrics(LABELS, "items")
    }
    return values(measures, columns)


@given(st.lists(st.tuples(named, named), min_size=1, max_size=60))
def test_they_are_scikit_learns(pairs: list[tuple[str, str]]):
    truth, said = zip(*pairs, strict=True)
    found = measured(classification_scores(LABELS, truth, said, [None] * len(pairs)))
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, said))
    assert found["macro_f1"] == pytest.approx(f1_score(truth, said, average="macro", zero_division=0))
    each = precision_recall_fscore_support(truth, said, labels=LABELS, zero_division=np.nan)
    for at, label in enumerate(LABELS):
        for name, column in (("precision", each[0]), ("recall", each[1]), ("f1", each[2])):
            key = f"{name}_class_{label}"
            if np.isnan(column[at]):
                assert key not in found
            else:
                assert found[key] == pytest.approx(column[at])


def test_brier_is_scikit_learns():
    truth = ["a", "b", "b", "d"]
    shares = np.array([[0.7, 0.1, 0.1, 0.1], [0.2, 0.5, 0.2, 0.1], [0.9, 0.1, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    said = [LABELS[at] for at in shares.argmax(axis=1)]
    rows = [dict(zip(LABELS, row, strict=True)) for row in shares.tolist()]
    found = measured(classification_scores(LABELS, truth, said, rows))
    assert found["brier"] == pytest.approx(brier_score_loss(truth, shares, labels=LABELS, scale_by_half=False))


def test_a_prediction_that_is_no_label_is_a_miss():
    (score,) = classification_scores(LABELS, ["a"], ["zebra"], [None])
    assert score["accuracy"] == ItemScore(numerator=0, weight=1)
    assert score["recall_class_a"] == ItemScore(numerator=0, weight=1)
    assert score["brier"] == ItemScore(numerator=2, weight=1)
