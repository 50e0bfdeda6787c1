"""From a batch of events to the ratings that may be learned from, with a numbered reason for all others.

Usage events have no rating and are no items: what was used is not what was liked. They are counted, and where a rating
names its result they say what that result was. Their free text is never kept, nor is who a user is.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlops_assets.core.dataset import write_items
from mlops_assets.core.family import Checked, Progress, Report
from mlops_assets.core.records.data import Finding, Origin
from mlops_assets.families.preference.cleaning import (
    CONTROL,
    EARLIEST,
    category,
    features,
    identifier,
    moment,
    number,
    plausible,
    pseudonym,
)
from mlops_assets.families.preference.config import Config
from mlops_assets.families.preference.events import Cell, Row, read_rows
from mlops_assets.families.preference.findings import finding
from mlops_assets.families.preference.items import item
from mlops_assets.families.preference.ratings import Rating, constant_raters, distinct

EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
PHONE = re.compile(r"\+?\d[\d ()/-]{7,18}\d")
ORIGINS: dict[str, Origin] = {"": "real", "real": "real", "synthetic": "synthetic"}
COHORTS = ("", "new", "known")
SUSPICIOUS_WEIGHT = 0.5
PROGRESS_ROWS = 20_000
NOTE_CHARACTERS = 2_000  # looked at for personal data
FEW_RATINGS = 10  # a share of fewer says nothing


class Batch:
    """What was read of a batch so far."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.findings: list[Finding] = []
        self.ratings: list[Row] = []
        self.usage: dict[str, Row] = {}
        self.total = 0
        self.usage_events = 0
        self.completed = 0
        self.notes = 0
        self.personal = 0

    def add(self, row: Row | Finding) -> None:
        """Sort a row into ratings, usage and findings."""
        if isinstance(row, Finding):
            self.findings.append(row)
            self.total += row.severity == "drop"
            return
        self._notes(row)
        own = self.config.columns
        if identifier(row.cells.get(own.rating)):
            self.total += 1
            self.ratings.append(row)
        else:
            self.usage_events += 1
            if result := identifier(row.cells.get(own.result)):
                self.usage[result] = row

    def _notes(self, row: Row) -> None:
        texts = [
            str(text)[:NOTE_CHARACTERS]
            for name in self.config.columns.notes
            if (text := row.cells.get(name)) is not None
        ]
        self.notes += bool(texts)
        self.personal += any(EMAIL.search(text) or PHONE.search(text) for text in texts)

    def complete(self, row: Row) -> dict[str, Cell]:
        """Return a rating's cells, what it lacks taken from the use of the same result by the same user."""
        own = self.config.columns
        use = self.usage.get(identifier(row.cells.get(own.result)))
        if use is None or identifier(use.cells.get(own.user)) != identifier(
            row.cells.get(own.user, use.cells.get(own.user))
        ):
            return row.cells
        taken = [own.user, *self.config.categorical, *(each.column for each in self.config.numeric)]
        missing = {name: use.cells[name] for name in taken if name in use.cells and name not in row.cells}
        self.completed += bool(missing)
        return row.cells | missing


def check(folder: Path, out: Path, config: Config, report: Report) -> Checked:
    """Check a batch and write its dataset; quality is 10 times the share kept, ratings of machines counting half."""
    batch = _read(folder, config, report)
    ratings: list[Rating] = []
    for row in batch.ratings:
        rating, found = _rating(row, batch)
        batch.findings += found
        ratings += [rating] if rating else []
    kept, repeated = distinct(ratings)
    batch.findings += repeated
    machines = constant_raters(kept, config.constant_ratings)
    batch.findings += _whole(batch, kept, machines)
    per_user = Counter(each.user for each in kept)
    write_items(out, (item(each, per_user, config) for each in kept))
    report(Progress(stage="check", done=batch.total, total=batch.total, text=f"{len(kept)} kept"))
    return _checked(batch, kept, machines)


def _read(folder: Path, config: Config, report: Report) -> Batch:
    own, batch = config.columns, Batch(config)
    wanted = [own.rating, own.user, own.timestamp, own.result, *own.notes, own.origin, own.cohort]
    wanted += [*config.categorical, *(each.column for each in config.numeric)]
    for at, row in enumerate(read_rows(folder, wanted)):
        batch.add(row)
        if batch.total + batch.usage_events > config.max_events:
            batch.findings.append(finding("PRF008", detail=f"more than {config.max_events}"))
            batch.ratings.clear()
            break
        if at % PROGRESS_ROWS == PROGRESS_ROWS - 1:
            report(Progress(stage="check", done=at + 1, total=at + 1, text="events read"))
    return batch


def _rating(row: Row, batch: Batch) -> tuple[Rating | None, list[Finding]]:
    """Return the rating of a row, or None, and what there is to say about it."""
    config, own = batch.config, batch.config.columns
    cells = batch.complete(row)
    used = {name: cell for name, cell in cells.items() if name not in own.notes}
    if problem := _unusable(used, config):
        return None, [finding(problem, row.place)]
    given, user = number(used[own.rating]), identifier(used.get(own.user))
    assert given is not None
    value = float(math.floor(given + 0.5))
    when = _when(used.get(own.timestamp))
    flags = {
        "PRF033": bool(EMAIL.search(user)),
        "PRF034": not user,
        "PRF037": bool(identifier(used.get(own.timestamp))) and when is None,
        "PRF038": value != given,
    }
    found = [finding(code, row.place) for code, is_so in flags.items() if is_so]
    clean = features(used, config)
    found += _odd_values(row.place, used, clean, config)
    return Rating(
        place=row.place,
        user=pseudonym(user) if user else None,
        features={name: each for name, each in clean.items() if name != own.user},
        value=value,
        when=when,
        result=identifier(used.get(own.result)),
        origin=ORIGINS[identifier(used.get(own.origin)).lower()],
        cohort=identifier(used.get(own.cohort)).lower(),
    ), found


def _when(cell: Cell) -> datetime | None:
    """Return a plausible time without fractions of a second; this alone depends on the day of the check."""
    when = None if cell is None else moment(cell)
    soon = datetime.now(UTC) + timedelta(days=1)
    return when.replace(microsecond=0) if when is not None and EARLIEST <= when <= soon else None


def _unusable(cells: Mapping[str, Any], config: Config) -> str | None:
    """Return the code of the first reason to drop an event."""
    own = config.columns
    texts = [cell for cell in cells.values() if isinstance(cell, str)]
    rating = number(cells[own.rating])
    if any(CONTROL.search(text) for text in texts):
        return "PRF005"
    if any(len(text) > config.max_text for text in texts):
        return "PRF013"
    if rating is None:
        return "PRF010"
    if not config.lowest_rating <= rating <= config.highest_rating:
        return "PRF011"
    if not rating.is_integer() and config.fractional_ratings == "drop":
        return "PRF012"
    if identifier(cells.get(own.origin)).lower() not in ORIGINS:
        return "PRF016"
    return None if identifier(cells.get(own.cohort)).lower() in COHORTS else "PRF017"


def _odd_values(
    place: str, cells: Mapping[str, Any], clean: Mapping[str, str | float | None], config: Config
) -> Iterator[Finding]:
    for column, known in config.vocabulary.items():
        if clean[column] is not None and clean[column] not in {category(value) for value in known}:
            yield finding("PRF035", place, f"{column}: {clean[column]}")
    for column in config.numeric:
        if identifier(cells.get(column.column)) and plausible(cells[column.column], column) is None:
            yield finding("PRF036", place, f"{column.column}: {cells[column.column]}")


def _whole(batch: Batch, kept: list[Rating], machines: Mapping[str, int]) -> Iterator[Finding]:
    """Yield what there is to say about the batch as a whole."""
    counts = {
        "PRF030": batch.usage_events,
        "PRF031": batch.notes,
        "PRF032": batch.personal,
        "PRF039": sum(not each.told_apart for each in kept),
    }
    yield from (finding(code, detail=f"{count} events") for code, count in counts.items() if count)
    yield from (finding("PRF021", user, f"{count} ratings") for user, count in sorted(machines.items()))
    user, most = next(iter(Counter(each.user for each in kept if each.user).most_common(1)), ("", 0))
    if most > max(batch.config.dominating_share * len(kept), FEW_RATINGS):
        yield finding("PRF020", user, f"{most} of {len(kept)}")
    if any(found.severity == "quarantine" for found in batch.findings):
        return
    if not kept:
        yield finding("PRF006", detail=f"{batch.usage_events} events without one")
    elif len({each.value for each in kept}) == 1 and len(kept) > 1:
        yield finding("PRF022", detail=f"{kept[0].value:g}, {len(kept)} times")


def _checked(batch: Batch, kept: list[Rating], machines: Mapping[str, int]) -> Checked:
    likes = sum(each.value >= batch.config.like_threshold for each in kept)
    doubtful = sum(machines.values())
    origins: set[Origin] = {each.origin for each in kept}
    worth = len(kept) - SUSPICIOUS_WEIGHT * doubtful
    return Checked(
        total=batch.total,
        kept=len(kept),
        findings=tuple(batch.findings),
        quality_score=round(10 * worth / batch.total, 2) if batch.total else 0.0,
        origin=origins.pop() if len(origins) == 1 else "mixed" if origins else "real",
        statistics={
            "ratings": len(kept),
            "users": len({each.user for each in kept if each.user}),
            "usage_events": batch.usage_events,
            "completed_from_usage": batch.completed,
            "machine_like_ratings": doubtful,
            "mean_rating": round(sum(each.value for each in kept) / len(kept), 6) if kept else 0.0,
        },
        labels={"likes": likes, "dislikes": len(kept) - likes},
    )
