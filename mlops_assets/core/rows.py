"""Rows of CSV and JSON lines that somebody sent, whatever is in them.

A physical line is a row: a broken row costs itself and never the rest of the file, as an unclosed quote would. A line
too long is skipped and never held in memory. Families give what is broken their own numbers.
"""

import csv
import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

LONGEST_LINE = 65_536
_JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Broken:
    """What cannot be read, or was not asked for: the header, a row, a row for its length, or a column."""

    kind: Literal["header", "row", "long", "column"]
    where: str
    detail: str


@dataclass(frozen=True)
class Cells:
    """One row: where it stands ('line 3'), and its values by column."""

    where: str
    values: dict[str, Any]


def file_names(root: Path) -> list[str]:
    """Return the files and links under a folder, relative and in order; what file managers leave behind is left out."""
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file() or path.is_symlink())
    return sorted(path.as_posix() for path in found if not any(map(is_junk, path.parts)))


def nested(folder: Path) -> Iterator[Path]:
    """Yield a folder, then the folder that is all it holds, and so on inwards: zips often wrap everything in one."""
    while True:
        yield folder
        inside = [path for path in folder.iterdir() if not is_junk(path.name)]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].is_symlink():
            return
        folder = inside[0]


def is_junk(name: str) -> bool:
    """Say whether a file or folder of that name was left behind by a file manager."""
    return name in _JUNK or name.startswith("._")


def lines(path: Path, longest: int = LONGEST_LINE) -> Iterator[tuple[str, str | Broken]]:
    """Yield place and text of each line that is not blank, or what is wrong: more than `longest` bytes, or no UTF-8."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(longest + 1):
            number += 1
            where = f"line {number}"
            if len(raw) > longest:
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(longest)
                yield where, Broken("long", where, f"more than {longest} bytes")
                continue
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                yield where, Broken("row", where, "not UTF-8")
                continue
            if text.strip():
                yield where, text


def csv_rows(path: Path, known: Collection[str], required: Sequence[str] = ()) -> Iterator[Cells | Broken]:
    """Yield the rows of a CSV file with their known columns; columns are told by their names whatever their case.

    Without a required column, without any known one, or with one that occurs twice there is a broken header and no row.
    """
    source = lines(path)
    where, header = next(source, ("line 1", ""))
    own = {name.lower(): name for name in known}
    heads = [] if isinstance(header, Broken) else [name.strip().lower() for name in fields(header) or ()]
    names = [own.get(name, name) for name in heads]
    if problem := header.detail if isinstance(header, Broken) else _header_problem(names, known, required):
        yield Broken("header", where, problem)
        return
    yield from (Broken("column", where, name) for name in names if name not in known)
    for where, line in source:
        if isinstance(line, Broken):
            yield line
            continue
        cells = fields(line)
        if cells is None or len(cells) != len(names):
            wrong = "quoting" if cells is None else f"{len(cells)} fields, {len(names)} columns"
            yield Broken("row", where, wrong)
        else:
            yield Cells(where, {name: cell for name, cell in zip(names, cells, strict=True) if name in known})


def json_rows(path: Path, known: Collection[str], required: Sequence[str] = ()) -> Iterator[Cells | Broken]:
    """Yield the objects of a JSON lines file with their known keys, null left out; each is a row of its own."""
    ignored: set[str] = set()
    for where, line in lines(path):
        if isinstance(line, Broken):
            yield line
            continue
        try:
            value = parsed(line)
        except (ValueError, RecursionError) as error:
            yield Broken("row", where, str(error))
            continue
        missing = [name for name in required if name not in value] if isinstance(value, dict) else []
        if not isinstance(value, dict) or missing:
            yield Broken("row", where, f"no {' and no '.join(missing)}" if missing else "not an object")
            continue
        yield from (Broken("column", where, name) for name in sorted({*value} - {*known} - ignored))
        ignored |= {*value}
        yield Cells(where, {name: value[name] for name in value if name in known and value[name] is not None})


def text_rows(path: Path, known: Collection[str], required: Sequence[str] = ()) -> Iterator[Cells | Broken]:
    """Yield the rows of a CSV or JSON lines file, by its suffix, all of whose values have to be text."""
    reader = csv_rows if path.suffix.lower() == ".csv" else json_rows
    for row in reader(path, known, required):
        values = row.values if isinstance(row, Cells) else {}
        wrong = [name for name, value in values.items() if not isinstance(value, str)]
        yield Broken("row", row.where, f"{' and '.join(wrong)} must be text") if wrong else row


def fields(line: str) -> list[str] | None:
    """Return the fields of one CSV line; None if its quotes do not close."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return None


def parsed(line: str) -> Any:
    """Return what a JSON line holds.

    ValueError for a key that occurs twice, for NaN and for a number beyond a float's range; UnicodeError, which is one,
    for half a character.
    """
    value = _DECODER.decode(line)
    if "\\u" in line and half_character(json.dumps(value, ensure_ascii=False)):
        raise UnicodeError("text with half of a surrogate pair")
    return value


def half_character(text: str) -> bool:
    """Say whether a text holds half of a surrogate pair, which JSON can spell and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _header_problem(names: Sequence[str], known: Collection[str], required: Sequence[str]) -> str:
    if len(set(names)) < len(names):
        return "a column name occurs twice"
    if missing := [name for name in required if name not in names]:
        return f"no column {' and no column '.join(missing)}"
    return "" if any(name in known for name in names) else f"none of {', '.join(known)}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:20]} is beyond a float's range")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_finite)
