"""The field's simple method: a mean, plus how far ratings of each value, then of each user, lie from it.

Averages are shrunken towards zero by `shrinkage` imaginary events (Koren 2009, baseline predictors). The chance that a
user likes a result takes the errors as normal around the predicted rating.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Item
from mlops_assets.families.preference.config import Config

BIASES = "bias.json"


class Biases(Record):
    """A fitted bias model; `offsets` in rating levels by column and value, the user's column last."""

    user: str
    mean: float
    deviation: float
    offsets: dict[str, dict[str, float]]
    lowest_rating: int
    highest_rating: int
    like_threshold: int

    def predict(self, values: Sequence[Mapping[str, Any]]) -> list[JsonValue]:
        """Return a prediction for each encoded event."""
        return [self._one(each) for each in values]

    def _one(self, value: Mapping[str, Any]) -> JsonValue:
        known = [self.offsets[name].get(str(value.get(name)), 0.0) for name in self.offsets]
        rating = self.mean + sum(known)
        above = (rating - self.like_threshold + 0.5) / self.deviation
        likely = 0.5 * (1 + math.erf(above / math.sqrt(2)))
        return answer(
            float(min(max(rating, self.lowest_rating), self.highest_rating)),
            likely,
            str(value.get(self.user)) in self.offsets[self.user],
        )


def answer(rating: float, likely: float, known_user: bool) -> JsonValue:
    """Return a prediction as JSON; numbers have six decimals, fewer than any two ways of adding differ in."""
    likely = round(min(max(likely, 0.0), 1.0), 6)
    return {
        "rating": round(rating, 6),
        "likes": likely >= 0.5,
        "probability": likely,
        "confidence": max(likely, round(1 - likely, 6)),
        "known_user": known_user,
    }


def fit(items: Sequence[Item], config: Config) -> Biases:
    """Fit the offsets one column after the other, each on what those before it leave."""
    rows = [(item.value, item.target["rating"]) for item in items if isinstance(item.target, dict)]
    values = [value for value, _ in rows if isinstance(value, dict)]
    ratings = [float(str(rating)) for _, rating in rows]
    mean = math.fsum(ratings) / max(len(ratings), 1)
    rest = [rating - mean for rating in ratings]
    offsets: dict[str, dict[str, float]] = {}
    for column in (*config.categorical, config.columns.user):
        sums: dict[str, list[float]] = {}
        for value, left in zip(values, rest, strict=True):
            if value.get(column) is not None:
                sums.setdefault(str(value[column]), []).append(left)
        offsets[column] = {
            name: math.fsum(found) / (config.shrinkage + len(found)) for name, found in sorted(sums.items())
        }
        rest = [left - offsets[column].get(str(each.get(column)), 0.0) for each, left in zip(values, rest, strict=True)]
    spread = math.sqrt(math.fsum(left**2 for left in rest) / max(len(rest), 1))
    return Biases(
        user=config.columns.user,
        mean=mean,
        deviation=max(spread, 0.1),
        offsets=offsets,
        lowest_rating=config.lowest_rating,
        highest_rating=config.highest_rating,
        like_threshold=config.like_threshold,
    )


def write(biases: Biases, folder: Path) -> None:
    """Write a servable folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BIASES).write_text(biases.canonical_json(), encoding="utf-8")
