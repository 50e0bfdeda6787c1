"""From a row's cells to the features of an event: the same rules for training data and for what a product asks.

Names are compared without case and surrounding blanks. Who gave a rating is kept as a pseudonym: enough to learn a
taste, and of no use to whoever reads a dataset. It is a plain digest, so that a product can ask by the name it knows;
someone who can guess names can test the guess.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from mlops_assets.core.rows import half_character
from mlops_assets.families.preference.config import Config, Number
from mlops_assets.families.preference.findings import refusal

PSEUDONYM = re.compile(r"u-[0-9a-f]{16}")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
MILLISECONDS = 1e11  # as seconds this is the year 5138


def pseudonym(user: str) -> str:
    """Return what stands for a user: 'u-' and 16 hexadecimal digits; a pseudonym stands for itself."""
    name = user.strip()
    return name if PSEUDONYM.fullmatch(name) else f"u-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def category(cell: Any) -> str | None:
    """Return a name in lower case, blanks within it single; truth values are 'true' and 'false'."""
    return " ".join(identifier(cell).split()).casefold() or None


def number(cell: Any) -> float | None:
    """Return a finite number, None for anything else; text that spells one is one, a truth value is none."""
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return None
    try:
        value = float(cell)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def plausible(cell: Any, column: Number) -> float | None:
    """Return a number within the column's range, else None."""
    value = number(cell)
    return value if value is not None and column.least <= value <= column.most else None


def features(cells: Mapping[str, Any], config: Config) -> dict[str, str | float | None]:
    """Return pseudonym, names and numbers of an event, None for what it lacks: the input of a predictor."""
    user = identifier(cells.get(config.columns.user))
    found: dict[str, str | float | None] = {config.columns.user: pseudonym(user) if user else None}
    for column in config.categorical:
        found[column] = category(cells.get(column))
    for column in config.numeric:
        found[column.column] = plausible(cells.get(column.column), column)
    return found


def refuse(input: Path | JsonValue, config: Config) -> str:
    """Return why an event cannot be predicted, "" if it can.

    An event may lack columns, and may have those that are not learned from. One that the line does not know is a
    mistake of the sender, and so is a value of another kind: a user and names are text, numbers are numbers.
    """
    if not isinstance(input, dict):
        return refusal("PRF003", "the input must be an object with a value for each column")
    own, numbers = config.columns, {column.column for column in config.numeric}
    names = {own.user, *config.categorical}
    beside = {own.rating, own.timestamp, own.result, *own.notes, own.origin, own.cohort}
    if unknown := sorted({*input} - names - numbers - beside):
        return refusal("PRF003", f"there is no column {', '.join(unknown)}")
    given = {name: value for name, value in input.items() if value is not None}
    if not (names | numbers) & {*given}:
        return refusal("PRF003", f"it has none of the columns {', '.join(sorted(names | numbers))}")
    if wrong := [
        f"{name} must be {kind}" for name, value in given.items() if (kind := _other_kind(name, value, config))
    ]:
        return refusal("PRF003", " and ".join(sorted(wrong)))
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    if halves := sorted(name for name, text in texts.items() if half_character(text)):
        return refusal("PRF003", f"{', '.join(halves)} with half of a surrogate pair")
    if controls := sorted(name for name, text in texts.items() if CONTROL.search(text)):
        return refusal("PRF005", ", ".join(controls))
    long = sorted(name for name, text in texts.items() if name not in own.notes and len(text) > config.max_text)
    return refusal("PRF013", f"{', '.join(long)}, at most {config.max_text} characters") if long else ""


def _other_kind(name: str, value: JsonValue, config: Config) -> str:
    """Return what a column's value has to be, "" if it is."""
    if name == config.columns.user:
        return "" if isinstance(value, str) else "a text"
    if name in config.categorical:
        return "" if isinstance(value, str | bool) else "a text or a truth value"
    if name in {column.column for column in config.numeric}:
        return "" if number(value) is not None and not isinstance(value, str) else "a finite number"
    return "plain" if isinstance(value, dict | list) else ""


def identifier(cell: Any) -> str:
    """Return an id as text, as it was written; a whole number has no point, as tables with gaps would give it."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return "" if cell is None else str(cell).encode("utf-8", "replace").decode().strip()


def moment(cell: Any) -> datetime | None:
    """Return a time in UTC: ISO 8601 (without a zone it is UTC), seconds or milliseconds since 1970; else None."""
    value = number(cell)
    try:
        if value is not None:
            return datetime.fromtimestamp(value / 1000 if abs(value) > MILLISECONDS else value, UTC)
        found = datetime.fromisoformat(str(cell).strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
