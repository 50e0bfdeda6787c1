"""A trained model as a folder: `model.json` (what columns, names and users it knows) and `weights.safetensors`.

Everything is float64: the network is small, and a product in doubles does not depend on how events are batched in any
digit that is shown.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue

from mlops_assets.core.errors import ConfigError
from mlops_assets.core.records.base import Record
from mlops_assets.families.preference.cleaning import category
from mlops_assets.families.preference.config import Config, Number

SHAPE, WEIGHTS = "model.json", "weights.safetensors"
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Weights = dict[str, Floats]


class Shape(Record):
    """What a model knows. Index 0 of a column stands for every value that is not listed, index 0 of users likewise."""

    user: str = Field(description="Column of the user")
    users: tuple[str, ...]
    categories: dict[str, tuple[str, ...]] = Field(
        description="Column to the values told apart; columns are in order of names"
    )
    numbers: dict[str, tuple[float, float, bool]] = Field(description="Column to least, most, and whether log")
    scales: dict[str, tuple[float, float]] = Field(
        description="Column to mean and standard deviation, as first trained on; empty before"
    )
    lowest_rating: int
    levels: int
    like_threshold: int
    embedding: int
    user_factors: int
    hidden: int

    @property
    def width(self) -> int:
        """Numbers an event is described by, the user aside."""
        return self.embedding * len(self.categories) + len(self.numbers)


@dataclass(frozen=True)
class Events:
    """Encoded events: indices of users (n,) and categories (n, columns), numbers (n, columns), levels from 0 (n,)."""

    users: Ints
    categories: Ints
    numbers: Floats
    levels: Ints

    def __len__(self) -> int:
        return len(self.users)

    def take(self, at: Ints) -> "Events":
        """Return chosen events."""
        return Events(self.users[at], self.categories[at], self.numbers[at], self.levels[at])


@dataclass(frozen=True)
class Model:
    """A model in memory."""

    shape: Shape
    weights: Weights

    @classmethod
    def read(cls, folder: Path) -> "Model":
        """Read a model folder."""
        from safetensors.numpy import load_file

        return cls(Shape.parse((folder / SHAPE).read_bytes()), load_file(folder / WEIGHTS))

    def write(self, folder: Path) -> None:
        """Write the model folder; `model.json` comes last."""
        from safetensors.numpy import save

        folder.mkdir(parents=True, exist_ok=True)
        (folder / WEIGHTS).write_bytes(save({name: np.ascontiguousarray(each) for name, each in self.weights.items()}))
        (folder / SHAPE).write_text(self.shape.canonical_json(), encoding="utf-8")


def untrained(config: Config) -> Model:
    """Return a model that has seen nothing and finds every rating equally likely."""
    shape = Shape(
        user=config.columns.user,
        users=(),
        categories={
            name: tuple(dict.fromkeys(str(category(each)) for each in config.vocabulary.get(name, ())))
            for name in sorted(config.categorical)
        },
        numbers={each.column: (each.least, each.most, each.log) for each in sorted(config.numeric, key=_column)},
        scales={},
        lowest_rating=config.lowest_rating,
        levels=config.levels,
        like_threshold=config.like_threshold,
        embedding=config.embedding,
        user_factors=config.user_factors,
        hidden=config.hidden,
    )
    rng = np.random.default_rng(0)
    described, factors = shape.width + shape.hidden, shape.user_factors
    shares = np.arange(1, shape.levels) / shape.levels
    cuts = np.log(shares / (1 - shares))
    weights = {
        "user": np.zeros((1, factors + 1)),
        "hidden": rng.normal(0, shape.width**-0.5, (shape.width, shape.hidden)),
        "hidden_bias": np.zeros(shape.hidden),
        "quality": np.zeros(described),
        "taste": rng.normal(0, described**-0.5, (described, factors)),
        "first_cut": cuts[:1],
        "gaps": np.log(np.expm1(np.diff(cuts))),
    }
    weights |= {f"column:{name}": np.zeros((1, shape.embedding)) for name in shape.categories}
    return _grown(Model(shape, weights), (), shape.categories, {})


def fitted(parent: Model, values: Sequence[Mapping[str, JsonValue]], config: Config) -> Model:
    """Return the parent with room for the users and categories of some events; what it knew stays as it was.

    A new user starts as the average one. ConfigError if the configuration asks for another network than the parent.
    """
    wanted, shape = untrained(config).shape, parent.shape
    learned = {"users": (), "scales": {}, "categories": {}}
    same_columns = wanted.categories.keys() == shape.categories.keys()
    if not same_columns or wanted.model_copy(update=learned) != shape.model_copy(update=learned):
        raise ConfigError(
            "The line's columns, scale or network differ from those of the model it would be fine-tuned from.",
            "Take the change of `config` back, or declare a line of another name: its first version will have it.",
        )
    users = Counter(str(each[shape.user]) for each in values if each.get(shape.user) is not None)
    new_users = tuple(sorted({*users} - {*shape.users}))
    grown: dict[str, tuple[str, ...]] = {}
    for name, known in shape.categories.items():
        seen = Counter(str(each[name]) for each in values if each.get(name) is not None)
        closed = {str(category(each)) for each in config.vocabulary.get(name, ())}
        often = {each for each, n in seen.items() if n >= config.min_category_events and (not closed or each in closed)}
        grown[name] = (*known, *sorted(often - {*known}))
    scales = shape.scales or {name: _scale(shape, name, values) for name in shape.numbers}
    return _grown(parent, new_users, grown, scales)


def encode(shape: Shape, values: Sequence[Mapping[str, JsonValue]], ratings: Sequence[float]) -> Events:
    """Return events as indices and standardised numbers; a missing number is an average one."""
    users = {name: at for at, name in enumerate(shape.users, 1)}
    columns = [({name: at for at, name in enumerate(known, 1)}, column) for column, known in shape.categories.items()]
    numbers = [
        np.nan_to_num((_numbers(shape, column, values) - mean) / deviation)
        for column, (mean, deviation) in shape.scales.items()
    ]
    return Events(
        users=np.array([users.get(str(each.get(shape.user)), 0) for each in values], np.int64),
        categories=np.array(
            [[known.get(str(each.get(column)), 0) for known, column in columns] for each in values], np.int64
        ).reshape(len(values), len(columns)),
        numbers=np.stack(numbers, axis=1) if numbers else np.zeros((len(values), len(shape.numbers))),
        levels=np.array(ratings, np.int64) - shape.lowest_rating,
    )


def _column(number: Number) -> str:
    return number.column


def _grown(model: Model, users: tuple[str, ...], categories: dict[str, tuple[str, ...]], scales: dict) -> Model:
    weights, width = dict(model.weights), model.shape.embedding
    weights["user"] = np.vstack([weights["user"], np.zeros((len(users), model.shape.user_factors + 1))])
    for at, (name, known) in enumerate(categories.items()):
        table = weights[f"column:{name}"]
        rng = np.random.default_rng([at, len(table)])
        weights[f"column:{name}"] = np.vstack([table, rng.normal(0, 0.3, (len(known) + 1 - len(table), width))])
    changes = {"users": (*model.shape.users, *users), "categories": categories, "scales": scales}
    return Model(model.shape.model_copy(update=changes), weights)


def _numbers(shape: Shape, column: str, values: Sequence[Mapping[str, JsonValue]]) -> Floats:
    least, most, log = shape.numbers[column]
    given = [each.get(column) for each in values]
    found = np.array([float(each) if isinstance(each, int | float) else np.nan for each in given])
    found = np.clip(found, least, most)
    return np.log1p(found - least) if log else found


def _scale(shape: Shape, column: str, values: Sequence[Mapping[str, JsonValue]]) -> tuple[float, float]:
    found = _numbers(shape, column, values)
    found = found[np.isfinite(found)]
    deviation = float(found.std()) if len(found) else 0.0
    return (float(found.mean()), deviation) if deviation > 0 else (float(found.mean()) if len(found) else 0.0, 1.0)
