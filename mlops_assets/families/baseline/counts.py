"""The model: a multinomial naive Bayes classifier over counts (Manning, Raghavan and Schuetze 2008, chapter 13)."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import JsonValue

from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Item

LEAST_PROBABILITY = 1e-9


class Counts(Record):
    """How often each label, and each word under it, was seen; what a parent saw has faded, so counts are not whole."""

    smoothing: float
    labels: dict[str, float]
    words: dict[str, dict[str, float]]

    @cached_property
    def totals(self) -> Counter[str]:
        """Words seen under each label."""
        totals = Counter[str]()
        for under in self.words.values():
            totals.update(under)
        return totals

    def faded(self, memory: float) -> Self:
        """Return the counts times `memory`."""
        return self.model_copy(
            update={
                "labels": _times(self.labels, memory),
                "words": {word: _times(under, memory) for word, under in self.words.items()},
            }
        )

    def counted(self, items: Sequence[Item]) -> "Counts":
        """Return the counts after some more items."""
        labels = dict(self.labels)
        words = {word: dict(under) for word, under in self.words.items()}
        for item in items:
            label = str(item.target)
            labels[label] = labels.get(label, 0.0) + 1
            for word in split(str(item.value)):
                under = words.setdefault(word, {})
                under[label] = under.get(label, 0.0) + 1
        return Counts(smoothing=self.smoothing, labels=labels, words=words)

    def probabilities(self, text: str) -> dict[str, float]:
        """Return P(label | words) by Bayes' rule with additive smoothing; words never seen say nothing."""
        known = [self.words[word] for word in split(text) if word in self.words]
        size = self.smoothing * len(self.words)
        scores = {
            label: math.log(count + self.smoothing)
            + sum(math.log((under.get(label, 0.0) + self.smoothing) / (self.totals[label] + size)) for under in known)
            for label, count in self.labels.items()
        }
        highest = max(scores.values(), default=0.0)
        shares = {label: math.exp(score - highest) for label, score in scores.items()}
        whole = sum(shares.values())
        return {label: share / whole for label, share in shares.items()}

    def loss(self, items: Sequence[Item]) -> float | None:
        """Return the mean negative log probability of the right label, in nats; None for no items."""
        if not items:
            return None
        chances = [self.probabilities(str(item.value)).get(str(item.target), 0.0) for item in items]
        return -sum(math.log(max(chance, LEAST_PROBABILITY)) for chance in chances) / len(items)


class Labels:
    """A loaded model."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def predict(self, inputs: Sequence[Path | JsonValue]) -> list[JsonValue]:
        """Return the likeliest label of each text and its probability; of equally likely ones the first."""
        answers: list[JsonValue] = []
        for text in inputs:
            shares = self._counts.probabilities(str(text))
            label = max(shares, key=shares.__getitem__, default="")
            answers.append({"label": label, "confidence": shares.get(label, 0.0)})
        return answers


def split(text: str) -> list[str]:
    """Return a text's words, case folded."""
    return re.findall(r"\w+", text.casefold())


def write(path: Path, record: Record) -> None:
    """Write a record so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(record.canonical_json(), encoding="utf-8")
    unfinished.replace(path)


def _times(counts: dict[str, float], factor: float) -> dict[str, float]:
    return {name: count * factor for name, count in counts.items()}
