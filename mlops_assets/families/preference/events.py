"""Events as a contributor wrote them: JSONL, CSV or Parquet, one flat row after the other, whatever the file does.

A physical line is a row: a broken row costs itself and never the rest of the file, as an unclosed quote would.
Parquet is read in slices of known size; a file that would not fit is refused by what its footer says.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.core.records import Finding
from mlops_assets.families.preference.findings import finding

MAX_LINE = 65_536
SLICE_ROWS = 512  # of cells that may be long: this many are in memory at once
MAX_GROUP_BYTES = 1 << 28
MAX_IGNORED = 50
_JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Row:
    """One event: where it stands, and the cells of the columns asked for that it has."""

    place: str
    cells: dict[str, Cell]


def read_rows(folder: Path, wanted: Sequence[str]) -> Iterator[Row | Finding]:
    """Yield the events of every file in order of names, and a finding for each that cannot be read."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    names = {path: path.relative_to(folder).as_posix() for path in files}
    names = {path: name for path, name in names.items() if not any(_junk(part) for part in name.split("/"))}
    if not any(path.suffix.lower() in _READERS for path in names):
        yield finding("PRF001")
    ignored: set[str] = set()
    for path, name in names.items():
        reader = _READERS.get(path.suffix.lower())
        for found in (finding("PRF041", name),) if reader is None else reader(path, name, wanted):
            if isinstance(found, Finding) and found.code == "PRF040":
                if found.detail in ignored or len(ignored) == MAX_IGNORED:
                    continue
                ignored.add(found.detail)
            yield found


def _lines(path: Path, name: str) -> Iterator[tuple[str, str | Finding]]:
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            place = f"{name}:{number}"
            if len(raw) > MAX_LINE:
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(MAX_LINE)
                yield place, finding("PRF004", place, f"more than {MAX_LINE} bytes")
                continue
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                yield place, finding("PRF003", place, "not UTF-8")
                continue
            if text.strip():
                yield place, text


def _jsonl(path: Path, name: str, wanted: Sequence[str]) -> Iterator[Row | Finding]:
    for place, line in _lines(path, name):
        if isinstance(line, Finding):
            yield line
            continue
        try:
            value = json.loads(line, object_pairs_hook=_unique, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            yield finding("PRF003", place, str(error))
            continue
        if not isinstance(value, dict):
            yield finding("PRF003", place, "not an object")
            continue
        yield from (finding("PRF040", detail=key) for key in value if key not in wanted)
        if wrong := [key for key in wanted if _unfit(value.get(key))]:
            yield finding("PRF003", place, f"{' and '.join(wrong)} must be plain, and text Unicode")
        else:
            yield Row(place, {key: value[key] for key in wanted if value.get(key) is not None})


def _csv(path: Path, name: str, wanted: Sequence[str]) -> Iterator[Row | Finding]:
    lines = _lines(path, name)
    header = next(lines, (name, ""))[1]
    fields = None if isinstance(header, Finding) else _fields(header)
    names = [each.strip() for each in fields or ()]
    if problem := _columns_problem(names, wanted):
        yield finding("PRF002", name, problem)
        return
    yield from (finding("PRF040", detail=each) for each in names if each not in wanted)
    for place, line in lines:
        if isinstance(line, Finding):
            yield line
            continue
        fields = _fields(line)
        if fields is None or len(fields) != len(names):
            what = "quoting" if fields is None else f"{len(fields)} fields, {len(names)} columns"
            yield finding("PRF003", place, what)
        else:
            cells = dict(zip(names, fields, strict=True))
            yield Row(place, {key: cells[key] for key in wanted if cells.get(key, "").strip()})


def _parquet(path: Path, name: str, wanted: Sequence[str]) -> Iterator[Row | Finding]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            chosen = [each for each in names if each in wanted]
            nested = [each for each in chosen if not _plain(file.schema_arrow.field(each).type)]
            if problem := _columns_problem(names, wanted) or ", ".join(nested):
                yield finding("PRF002", name, problem)
                return
            groups = [file.metadata.row_group(at).total_byte_size for at in range(file.num_row_groups)]
            if max(groups, default=0) > MAX_GROUP_BYTES:
                yield finding("PRF007", name, f"a row group of more than {MAX_GROUP_BYTES} bytes")
                return
            yield from (finding("PRF040", detail=each) for each in names if each not in wanted)
            number = 0
            for part in file.iter_batches(batch_size=SLICE_ROWS, columns=chosen):
                for cells in part.to_pylist():
                    number += 1
                    place = f"{name}:{number}"
                    if any(isinstance(each, str) and len(each) > MAX_LINE for each in cells.values()):
                        yield finding("PRF004", place, f"a cell of more than {MAX_LINE} characters")
                    else:
                        yield Row(place, {key: _cell(each) for key, each in cells.items() if each is not None})
    except (pa.ArrowException, OSError, ValueError) as error:
        yield finding("PRF007", name, str(error).partition("\n")[0])


def _plain(kind: Any) -> bool:
    """Say whether a Parquet column holds text, numbers, truth values or times, as they are or in a dictionary."""
    from pyarrow import types

    inner = kind.value_type if types.is_dictionary(kind) else kind
    text = types.is_string(inner) or types.is_large_string(inner)
    number = types.is_integer(inner) or types.is_floating(inner) or types.is_boolean(inner)
    return text or number or types.is_timestamp(inner) or types.is_null(inner)


def _cell(value: Any) -> Cell:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _columns_problem(names: Sequence[str], wanted: Sequence[str]) -> str:
    if len(set(names)) < len(names):
        return "a column name occurs twice"
    return "" if any(name in wanted for name in names) else f"none of {', '.join(wanted)}"


def _fields(line: str) -> list[str] | None:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error:
        return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _unfit(value: Any) -> bool:
    """Say whether a value is no plain one, or holds half of a surrogate pair, which no file can be written with."""
    return isinstance(value, dict | list) or (isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value))


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _junk(name: str) -> bool:
    return name in _JUNK or name.startswith("._")


_READERS: dict[str, Callable[[Path, str, Sequence[str]], Iterator[Row | Finding]]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
