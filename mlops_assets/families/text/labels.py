"""From the cells of the label columns to targets, one rule per distinct cell or one pass per column of numbers.

A target is a label, or of a multi-label line the labels in configured order as 'joy;trust', or 'none'.
"""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions when it is imported)

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.families.text.config import FALSE, NO_LABEL, TRUE, Config

_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*$"
_MOST_SUGGESTIONS = 200


@dataclass(frozen=True)
class Targets:
    """Per row the position of its target in `names`, scores by label (rows, columns), and what is wrong with it.

    `codes` holds the finding of a row or ''; `details` says more of some rows; `other_case` are rows to be flagged.
    """

    names: list[str]
    positions: np.ndarray
    codes: np.ndarray
    details: dict[int, str]
    other_case: np.ndarray
    scores: dict[str, np.ndarray] = field(default_factory=dict)


def numbers(column: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Return cells as float64, NaN where empty or unreadable, and whether a cell is not empty and not in 0..1."""
    try:
        values = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
        return values, ~((values >= 0) & (values <= 1))
    except pa.ArrowInvalid:
        readable = pc.match_substring_regex(column, _NUMBER)
        cells = pc.if_else(readable, pc.utf8_trim_whitespace(column), pa.scalar(None, pa.string()))
        values = pc.cast(cells, pa.float64()).to_numpy(zero_copy_only=False)
        empty = pc.equal(pc.utf8_trim_whitespace(column), "").to_numpy(zero_copy_only=False)
        return values, ~empty & ~((values >= 0) & (values <= 1))


def targets(columns: dict[str, pa.StringArray], config: Config) -> Targets:
    """Return the targets of a table's rows."""
    if config.task == "multi_label" and not config.label_column:
        return _dimensions(columns, config)
    rule = _several(config) if config.task == "multi_label" else _one(config)
    return _cells(columns[config.label_column], rule)


@dataclass(frozen=True)
class _Cell:
    target: str = ""
    code: str = ""
    detail: str = ""
    other_case: bool = False


def _cells(column: pa.StringArray, rule: Callable[[str], _Cell]) -> Targets:
    """Apply a rule to every distinct cell, and spread what it says over the rows."""
    coded = pc.dictionary_encode(column)
    cells = [rule(cell) for cell in coded.dictionary.to_pylist()]
    which = coded.indices.to_numpy()
    names = sorted({cell.target for cell in cells if not cell.code})
    place = {name: at for at, name in enumerate(names)}
    codes = np.array([cell.code for cell in cells], "U6")[which] if len(which) else np.zeros(0, "U6")
    positions = np.array([place.get(cell.target, 0) for cell in cells], np.int32)[which] if len(which) else which
    other = np.array([cell.other_case for cell in cells], bool)[which] if len(which) else np.zeros(0, bool)
    details = {int(row): cells[which[row]].detail for row in np.flatnonzero(codes != "")}
    return Targets(names, positions, codes, details, other)


def _one(config: Config) -> Callable[[str], _Cell]:
    by_name = {label.casefold(): label for label in config.labels}
    if config.task == "binary":
        by_name = dict.fromkeys(FALSE, config.labels[0]) | dict.fromkeys(TRUE, config.labels[1]) | by_name
    unknown = _Unknown(config.labels)

    def rule(cell: str) -> _Cell:
        name = cell.strip()
        label = by_name.get(name.casefold())
        if label is None:
            return _Cell(code="TXT014", detail=unknown(name)) if name else _Cell(code="TXT013")
        known = name == label or name.casefold() in (*TRUE, *FALSE)
        return _Cell(label, other_case=not known)

    return rule


def _several(config: Config) -> Callable[[str], _Cell]:
    by_name = {label.casefold(): label for label in config.labels}
    unknown = _Unknown(config.labels)

    def rule(cell: str) -> _Cell:
        names = [name.strip() for name in cell.split(";") if name.strip()]
        if not names:
            return _Cell(code="TXT013")
        found = {by_name.get(name.casefold(), "") for name in names if name.casefold() != NO_LABEL}
        if "" in found:
            wrong = next(name for name in names if name.casefold() not in (*by_name, NO_LABEL))
            return _Cell(code="TXT014", detail=unknown(wrong))
        return _Cell(joined(found, config), other_case=not found <= set(names))

    return rule


class _Unknown:
    """Says what an unknown label may have meant; of hostile columns only for the first two hundred."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = {label.casefold(): label for label in labels}
        self._left = _MOST_SUGGESTIONS

    def __call__(self, name: str) -> str:
        self._left -= 1
        near = difflib.get_close_matches(name[:80].casefold(), self._labels, 1, 0.7) if self._left >= 0 else []
        return f"'{name[:60]}'" + (f"; did you mean '{self._labels[near[0]]}'?" if near else "")


def joined(found: set[str], config: Config) -> str:
    """Return labels in configured order as one text."""
    return ";".join(label for label in config.labels if label in found) or NO_LABEL


def _dimensions(columns: dict[str, pa.StringArray], config: Config) -> Targets:
    read = {label: numbers(columns[label]) for label in config.labels}
    scores = {label: values for label, (values, _) in read.items()}
    wrong = np.any([bad for _, bad in read.values()], axis=0)
    empty = np.any([np.isnan(values) for values in scores.values()], axis=0) & ~wrong
    given = np.array([scores[label] >= config.threshold_of(label) for label in config.labels])
    combinations, positions = np.unique(given, axis=1, return_inverse=True)
    names = [
        joined({label for label, yes in zip(config.labels, each, strict=True) if yes}, config)
        for each in combinations.T
    ]
    codes = np.where(wrong, "TXT015", np.where(empty, "TXT013", ""))
    details = {
        int(row): ", ".join(label for label in config.labels if read[label][1][row]) for row in np.flatnonzero(wrong)
    }
    return Targets(names, positions.reshape(-1).astype(np.int32), codes, details, np.zeros(len(codes), bool), scores)
