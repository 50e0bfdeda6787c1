"""Read a CSV file at pyarrow's pace, though any of its rows may be broken."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from mlops_assets.core.records.data import Finding
from mlops_assets.families.text.config import Config
from mlops_assets.families.text.findings import finding
from mlops_assets.families.text.sound import LONGEST_LINE, needs_care, repaired
from mlops_assets.families.text.table import Table, as_text, known_columns

_DELIMITERS = (",", ";", "\t")


def read_csv(path: Path, name: str, config: Config) -> Iterator[Table | Finding]:
    """Yield the table of a CSV file, comma, semicolon or tab, and a finding for what is not in it."""
    raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if problem := _no_text(raw):
        yield finding("TXT006", name, problem)
        return
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    delimiter, names = _header(raw, config)
    known, remarks = known_columns(names, name, config)
    yield from remarks
    if not known:
        return
    lost: list[tuple[int, str, str]] = []
    careful = needs_care(raw)
    if careful:
        raw, lost = repaired(raw, delimiter, len(names))
    table, ragged = _fast(raw, delimiter, names, careful)
    if ragged:
        table, ragged = _fast(raw, delimiter, names, careful, threads=False)
    places = np.arange(1, len(table) + len(ragged) + len(lost) + 1)
    places = np.delete(places, [row - 2 for row, _, _ in lost])
    for row, code, detail in lost:
        yield finding(code, f"{name} row {row - 1}", detail)
    for number, detail in ragged:
        yield finding("TXT003", f"{name} row {places[number - 2]}", detail)
    places = np.delete(places, [number - 2 for number, _ in ragged])
    yield Table.of(name, {column: as_text(table.column(at)) for at, column in known.items()}, places)


def _no_text(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "UTF-16; save it as UTF-8"
    if raw[:4] in (b"PK\x03\x04", b"PAR1") or raw[:2] == b"\x1f\x8b":
        return "compressed or binary"
    return "empty" if not raw or raw.isspace() else ""


def _header(raw: bytes, config: Config) -> tuple[str, list[str]]:
    """Return delimiter and column names: the delimiter by which most columns are known, and a comma of equal ones."""
    head = raw[: raw.find(b"\n")] if b"\n" in raw else raw
    text = head[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
    known = {column.casefold() for column in config.columns}

    def names(delimiter: str) -> list[str]:
        return next(csv.reader([text], delimiter=delimiter), [])

    best = max(_DELIMITERS, key=lambda each: len({name.strip().casefold() for name in names(each)} & known))
    return best, names(best)


def _fast(
    raw: bytes, delimiter: str, names: list[str], lines: bool, threads: bool = True
) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Return the table, and number (header 1; known without threads) and reason of the rows of another width."""
    ragged: list[tuple[int, str]] = []

    def skip(row: Any) -> str:
        ragged.append((row.number or 0, f"{row.actual_columns} fields, {row.expected_columns} columns"))
        return "skip"

    own = [str(at) for at in range(len(names))]
    table = pyarrow.csv.read_csv(
        io.BytesIO(raw) if not threads else pa.BufferReader(raw),
        pyarrow.csv.ReadOptions(column_names=own, skip_rows=1, use_threads=threads, block_size=1 << 20),
        pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=lines, invalid_row_handler=skip),
        pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(own, pa.string()), check_utf8=False),
    )
    return table, ragged
