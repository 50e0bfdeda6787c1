"""What is known of the rows of a batch, and the items that are made of those kept."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions when it is imported)

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.core.digests import sha256_json
from mlops_assets.core.records.data import Item, Origin
from mlops_assets.families.text.config import Config
from mlops_assets.families.text.labels import Targets
from mlops_assets.families.text.table import Table

_SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_ORIGINS: dict[str, Origin] = {"": "real", "real": "real", "synthetic": "synthetic"}


@dataclass(frozen=True)
class Origins:
    """Per row its origin, and which rows claim another than 'real' or 'synthetic'."""

    names: np.ndarray
    unknown: np.ndarray


@dataclass(frozen=True)
class Judged:
    """The rows of a batch and what was found: a row's first reason to drop it, or '', and the rows flagged by code."""

    table: Table
    text: pa.StringArray
    targets: Targets
    codes: np.ndarray
    details: dict[int, str]
    flags: dict[str, np.ndarray]
    numbers: dict[str, np.ndarray]
    origins: Origins
    languages: np.ndarray


def origins(table: Table, config: Config) -> Origins:
    """Return the origins of a table's rows; 'real' where nothing is said."""
    cells = _distinct(table, config.origin_column, lambda cell: _ORIGINS.get(cell.strip().lower(), "?"))
    names = np.full(len(table), "real") if cells is None else cells
    return Origins(names, names == "?")


def languages(table: Table, config: Config) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the language code of each row, which cannot be read, and which are not the line's."""
    cells = _distinct(table, config.language_column, lambda cell: _code(cell) or config.language)
    names = np.full(len(table), config.language) if cells is None else cells
    foreign = ~np.isin(names, config.languages) if config.languages else np.zeros(len(table), bool)
    return names, names == "?", foreign


def items(judged: Judged, kept: np.ndarray, config: Config) -> Iterator[Item]:
    """Yield the item of every kept row.

    Rows of one user, or of one template, are resampled together; the others are alone.
    """
    columns = {name: judged.table.columns.get(name) for name in (config.user_column, config.template_column)}
    sources = judged.table.columns.get(config.source_column)
    scores = {f"score:{name}": values for name, values in judged.targets.scores.items()}
    scores |= {f"score:{name}": values for name, values in judged.numbers.items()}
    for row in kept.tolist():
        text = judged.text[row].as_py()
        target = judged.targets.names[judged.targets.positions[row]]
        name = sha256_json([text, target])[:24]
        cluster = next(
            (safe(cell) for each in columns.values() if each is not None and (cell := each[row].as_py())), name
        )
        slices = [f"label:{safe(label)}" for label in target.split(";")]
        slices += [f"length:{_length(text, config)}", f"language:{judged.languages[row]}"]
        if sources is not None and (source := sources[row].as_py().strip()):
            slices.append(f"source:{safe(source)}")
        yield Item(
            id=name,
            value=text,
            target=target,
            cluster=cluster,
            slices=tuple(slices),
            origin=_ORIGINS[str(judged.origins.names[row])],
            attributes={key: float(values[row]) for key, values in scores.items() if not np.isnan(values[row])},
        )


def safe(name: str) -> str:
    """Return a name as it may stand in an id: short, lower case, without spaces; a hash where it is not."""
    lower = re.sub(r"\s+", "_", name.strip().lower())
    return lower if _SAFE.fullmatch(lower) else "x" + hashlib.sha256(name.encode()).hexdigest()[:12]


def _length(text: str, config: Config) -> str:
    return "short" if len(text) < config.short_chars else "medium" if len(text) < config.long_chars else "long"


def _code(cell: str) -> str:
    code = cell.strip().lower().replace("_", "-").partition("-")[0]
    return code if not code or _LANGUAGE.fullmatch(code) else "?"


def _distinct(table: Table, column: str, rule: Callable[[str], str]) -> np.ndarray | None:
    cells = table.columns.get(column)
    if cells is None:
        return None
    coded = pc.dictionary_encode(cells)
    return np.array([rule(cell) for cell in coded.dictionary.to_pylist()] or [""])[coded.indices.to_numpy()]
