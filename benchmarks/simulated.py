"""Golden sets and systems whose true quality is known, for `decision_quality.py`.

Each world draws the items of a golden set, and what a system scores on each of them. Two systems of equal skill are
exchangeable: swapping them changes no distribution, so neither is better. A system with an `effect` is better by
exactly that much in the world's metric, on average over all golden sets that could have been drawn. Systems agree on
most items, as a model and its fine-tuned child do, and differ by speaker, source or user, as systems do.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from mlops_assets.core.classification import classification_metrics, classification_scores
from mlops_assets.core.family import ItemScore, MetricSpec
from mlops_assets.core.records.data import Item
from mlops_assets.core.records.evaluation import SetKind, System
from mlops_assets.lifecycle.evaluation.comparing import ScoredSet

Scores = Sequence[Mapping[str, ItemScore]]
LABELS = ("air", "earth", "fire", "water")
EVEN, UNEVEN = (0.25, 0.25, 0.25, 0.25), (0.4, 0.3, 0.2, 0.1)
CONTESTED = 0.2
DIGESTS: dict[SetKind, str] = {"golden": "d" * 64, "sealed": "b" * 64}
CLASSIFICATION = {each.name: each for each in classification_metrics(LABELS, "items")}


@dataclass(frozen=True)
class Golden:
    """The items of one golden set: a cluster each, shape (n,), and what the world knows of them beside."""

    clusters: NDArray
    known: Mapping[str, NDArray]

    def scored(self, production: Scores, candidate: Scores, *, kind: SetKind = "golden") -> ScoredSet:
        """Return the set as the platform has it when both systems have been scored."""
        systems: dict[System, Scores] = {"candidate": candidate, "production": production}
        predictions: dict[System, list[JsonValue]] = {system: [None] * len(self.items) for system in systems}
        return ScoredSet(kind, kind, DIGESTS[kind], "synthetic", self.items, predictions, systems)

    @cached_property
    def items(self) -> list[Item]:
        """The items, which have nothing but ids and clusters."""
        return [Item(id=f"{at:05d}", cluster=f"c{cluster}") for at, cluster in enumerate(self.clusters)]


@dataclass(frozen=True)
class World(ABC):
    """A kind of model, with the family's own statistic as its first metric."""

    name: str
    family: str
    metrics: tuple[MetricSpec, ...]
    margin: float

    @abstractmethod
    def golden(self, rng: np.random.Generator) -> Golden:
        """Draw a golden set."""

    @abstractmethod
    def system(self, golden: Golden, rng: np.random.Generator, effect: float = 0.0) -> Scores:
        """Draw what a system scores on it that is better than the world's usual one by `effect`."""


@dataclass(frozen=True)
class Speech(World):
    """Word error rate: 12 words an utterance, 10 % wrong in any system, 6 % of the rest by system and speaker."""

    speakers: int = 40
    utterances: int = 500
    deviation: float = 0.02
    name: str = "speech, word error rate"
    family: str = "speech"
    metrics: tuple[MetricSpec, ...] = (
        MetricSpec(name="wer", higher_is_better=False, unit="share of words", title="Word error rate"),
    )
    margin: float = 0.003

    def golden(self, rng: np.random.Generator) -> Golden:
        """Draw utterances of speakers who said unevenly many."""
        share = rng.dirichlet(np.full(self.speakers, 4.0))
        words = rng.poisson(10, self.utterances) + 2
        speakers = rng.choice(self.speakers, self.utterances, p=share)
        return Golden(speakers, {"words": words, "wrong": rng.binomial(words, 0.1)})

    def system(self, golden: Golden, rng: np.random.Generator, effect: float = 0.0) -> Scores:
        """Draw word errors; `effect` below 0.036."""
        rate = 0.06 - effect / 0.9 + rng.uniform(-self.deviation, self.deviation, self.speakers)
        words, wrong = golden.known["words"], golden.known["wrong"]
        errors = wrong + rng.binomial(words - wrong, rate[golden.clusters])
        return [{"wer": _score(*pair)} for pair in zip(errors.tolist(), words.tolist(), strict=True)]


@dataclass(frozen=True)
class Pictures(World):
    """Accuracy: a fifth of the items is contested, and any two systems disagree on about a tenth."""

    sources: int = 100
    items: int = 500
    deviation: float = 0.1
    name: str = "vision, accuracy"
    family: str = "vision"
    metrics: tuple[MetricSpec, ...] = (CLASSIFICATION["accuracy"],)
    margin: float = 0.005

    def golden(self, rng: np.random.Generator) -> Golden:
        """Draw pictures of sources."""
        return Golden(rng.integers(0, self.sources, self.items), _labelled(self.items, EVEN, rng))

    def system(self, golden: Golden, rng: np.random.Generator, effect: float = 0.0) -> Scores:
        """Draw right and wrong answers; `effect` below 0.08."""
        rate = 0.5 + effect / CONTESTED + rng.uniform(-self.deviation, self.deviation, self.sources)
        return _classified(golden.known, rate[golden.clusters], rng)


@dataclass(frozen=True)
class Messages(World):
    """Macro-F1 over four classes, of which one is rare; each message comes from somebody else."""

    items: int = 500
    name: str = "text, macro-F1"
    family: str = "text"
    metrics: tuple[MetricSpec, ...] = (CLASSIFICATION["macro_f1"], CLASSIFICATION["accuracy"])
    margin: float = 0.005

    def golden(self, rng: np.random.Generator) -> Golden:
        """Draw messages."""
        return Golden(np.arange(self.items), _labelled(self.items, UNEVEN, rng))

    def system(self, golden: Golden, rng: np.random.Generator, effect: float = 0.0) -> Scores:
        """Draw right and wrong answers; `effect` below 0.09."""
        return _classified(golden.known, np.full(self.items, 0.5 + _skill(effect)), rng)


@dataclass(frozen=True)
class Ratings(World):
    """RMSE per user: 8 ratings each, users whose taste is hard to tell, errors of two systems correlated at 0.8."""

    users: int = 120
    events: int = 8
    deviation: float = 0.1
    name: str = "preference, RMSE per user"
    family: str = "preference"
    metrics: tuple[MetricSpec, ...] = (
        MetricSpec(name="rmse", higher_is_better=False, unit="rating levels", title="RMSE", root=True),
    )
    margin: float = 0.01

    def golden(self, rng: np.random.Generator) -> Golden:
        """Draw users, and the error that every system makes on their ratings."""
        users = np.repeat(np.arange(self.users), self.events)
        taste = rng.lognormal(0.0, 0.3, self.users)[users]
        return Golden(users, {"taste": taste, "error": taste * rng.standard_normal(len(users))})

    def system(self, golden: Golden, rng: np.random.Generator, effect: float = 0.0) -> Scores:
        """Draw squared errors; the RMSE over all that could be drawn is lower by `effect` than without."""
        own = golden.known["taste"] * rng.standard_normal(len(golden.clusters))
        bias = 1.0 + rng.uniform(-self.deviation, self.deviation, self.users)[golden.clusters]
        usual = np.exp(0.3**2) * np.sqrt(1 + self.deviation**2 / 3)
        errors = (1 - effect / usual) * bias * (np.sqrt(0.8) * golden.known["error"] + np.sqrt(0.2) * own)
        return [{"rmse": ItemScore(numerator=square, weight=1.0)} for square in (errors**2).tolist()]


WORLDS: tuple[World, ...] = (Speech(), Pictures(), Messages(), Ratings())


@lru_cache(maxsize=4_096)
def _score(numerator: float, weight: float) -> ItemScore:
    return ItemScore(numerator=numerator, weight=weight)


def _labelled(items: int, shares: Sequence[float], rng: np.random.Generator) -> dict[str, NDArray]:
    """Draw true labels, and items that any system gets right, that are contested, and that any gets wrong."""
    kind = rng.choice(3, items, p=[0.95 - CONTESTED, CONTESTED, 0.05])
    return {"truth": rng.choice(len(LABELS), items, p=shares), "easy": kind == 0, "contested": kind == 1}


def _classified(known: Mapping[str, NDArray], rate: NDArray, rng: np.random.Generator) -> Scores:
    """Draw answers: contested items are right at a rate each, wrong ones are any of the other labels."""
    truth = known["truth"]
    right = known["easy"] | (known["contested"] & (rng.random(len(truth)) < rate))
    said = np.where(right, truth, (truth + rng.integers(1, len(LABELS), len(truth))) % len(LABELS))
    return [_answer(*pair) for pair in zip(truth.tolist(), said.tolist(), strict=True)]


@lru_cache
def _answer(truth: int, said: int) -> Mapping[str, ItemScore]:
    return classification_scores(LABELS, [LABELS[truth]], [LABELS[said]], [None])[0]


@lru_cache
def _skill(effect: float) -> float:
    """Return by how much more often contested messages have to be right for macro-F1 to gain `effect`, by bisection."""
    low, high = 0.0, 0.5
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _macro_f1(middle) - _macro_f1(0.0) < effect else (low, middle)
    return (low + high) / 2


def _macro_f1(skill: float) -> float:
    """Return the macro-F1 that `Messages` has over endlessly many messages."""
    shares = np.array(UNEVEN)
    right = 0.95 - CONTESTED + CONTESTED * (0.5 + skill)
    named = shares * right + (1 - shares) * (1 - right) / (len(LABELS) - 1)
    return float(np.mean(2 * shares * right / (shares + named)))
