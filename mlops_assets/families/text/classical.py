"""The field's simple method, judged beside every candidate: TF-IDF of words and word pairs with logistic regression.

scikit-learn fits it; numbers and vocabulary are kept as safetensors and JSON, and numpy alone predicts.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue

from mlops_assets.core.dataset import read_items
from mlops_assets.core.records.data import Item
from mlops_assets.families.text.answers import SETTINGS, Answering, answer, answering
from mlops_assets.families.text.config import NO_LABEL, Config

VOCABULARY, WEIGHTS = "vocabulary.json", "weights.safetensors"
MOST_TERMS = 20_000
_NEVER = -30.0
_WORD = re.compile(r"(?u)\b\w+\b")


def fit(data: Path, out: Path, config: Config, seed: int) -> None:
    """Fit on a dataset and write the companion folder `out`; labels that do not occur are never answered."""
    from safetensors.numpy import save_file
    from sklearn.feature_extraction.text import TfidfVectorizer

    items = [item for item in read_items(data) if _names(item) <= set(config.labels)]
    vectors = TfidfVectorizer(analyzer=terms, sublinear_tf=True, max_features=MOST_TERMS)  # pyright: ignore[reportArgumentType]
    matrix = vectors.fit_transform([str(item.value) for item in items])
    weights, bias = _rows(matrix, items, config, seed)
    out.mkdir(parents=True, exist_ok=True)
    order = {str(term): int(at) for term, at in vectors.vocabulary_.items()}
    (out / VOCABULARY).write_text(json.dumps(order, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    arrays = {"idf": vectors.idf_, "weights": weights, "bias": bias}
    save_file({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}, out / WEIGHTS)
    how = answering("tfidf", config, config.max_length, "Classified by TF-IDF and logistic regression.")
    (out / SETTINGS).write_text(how.model_dump_json(indent=1) + "\n", "utf-8")


def terms(text: str) -> list[str]:
    """Return the words of a message and its pairs of neighbouring words, in lower case."""
    words = _WORD.findall(text.lower())
    return words + [f"{one} {other}" for one, other in pairwise(words)]


class Classical:
    """A fitted companion, ready to answer."""

    def __init__(self, folder: Path, how: Answering) -> None:
        from safetensors.numpy import load_file

        arrays = load_file(folder / WEIGHTS)
        self._idf, self._weights, self._bias = (arrays[name] for name in ("idf", "weights", "bias"))
        self._order: dict[str, int] = json.loads((folder / VOCABULARY).read_text("utf-8"))
        self._how = how

    def predict(self, inputs: Sequence[Path | JsonValue]) -> list[JsonValue]:
        """Return one answer per message; see `answers`."""
        return [answer(self._logits(str(text)), self._how) for text in inputs]

    def _logits(self, text: str) -> np.ndarray:
        counts = Counter(self._order[term] for term in terms(text) if term in self._order)
        if not counts:
            return self._bias
        places = np.array(sorted(counts))
        values = np.array([1 + math.log(counts[at]) for at in places.tolist()]) * self._idf[places]
        return self._weights[:, places] @ (values / np.sqrt((values**2).sum())) + self._bias


def _names(item: Item) -> set[str]:
    return set(str(item.target).split(";")) - {NO_LABEL}


def _rows(matrix: Any, items: Sequence[Item], config: Config, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a row of weights and a bias for each label: one regression together, or one for each dimension."""
    weights, bias = np.zeros((len(config.labels), matrix.shape[1])), np.full(len(config.labels), _NEVER)
    if config.task == "multi_label":
        for at, label in enumerate(config.labels):
            named = [label in _names(item) for item in items]
            # Balanced, or a dimension that few messages have is never named: a straw man beside the network.
            found, rows, shift = _regression(matrix, named, seed, balance="balanced")
            weights[at], bias[at] = (rows[0], shift[0]) if len(found) == 2 else (0.0, -_NEVER if found[0] else _NEVER)
        return weights, bias
    found, rows, shift = _regression(matrix, [config.labels.index(str(item.target)) for item in items], seed)
    if len(found) == 1:
        bias[found] = 0.0
    elif len(found) == 2:
        weights[found[1]], bias[found] = rows[0], (0.0, shift[0])
    else:
        weights[found], bias[found] = rows, shift
    return weights, bias


def _regression(
    matrix: Any, classes: Sequence[int], seed: int, balance: str | None = None
) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Return the classes there are, and scikit-learn's coefficients and intercepts (one row for two classes)."""
    from sklearn.linear_model import LogisticRegression

    found = sorted({int(each) for each in classes})
    if len(found) < 2:
        return found, np.zeros((1, matrix.shape[1])), np.zeros(1)
    fitted = LogisticRegression(max_iter=2_000, C=10.0, class_weight=balance, random_state=seed).fit(matrix, classes)
    return found, fitted.coef_, fitted.intercept_
