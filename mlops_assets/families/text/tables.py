"""Read the CSV, JSONL and Parquet files of a batch into tables of text with the columns a line names.

A broken row costs itself. A file without the columns, or whose bytes are not what its name says, stops the batch.
"""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions when it is imported)

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from mlops_assets.core.records import Finding
from mlops_assets.families.text.config import Config
from mlops_assets.families.text.findings import finding
from mlops_assets.families.text.sound import LONGEST_LINE, needs_care, repaired

MOST_BYTES = 1 << 30
_BATCH_ROWS = 8_192
_DELIMITERS = (",", ";", "\t")
_JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Table:
    """Rows of one file or of several: known columns as text ('' where a value is missing), file and number of a row."""

    columns: dict[str, pa.StringArray]
    numbers: np.ndarray
    files: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, name: str, columns: dict[str, pa.StringArray], numbers: np.ndarray) -> Self:
        """Return the table of one file, whose rows have these numbers."""
        return cls(columns, numbers, ((name, len(numbers)),))

    @classmethod
    def joined(cls, tables: "Sequence[Table]") -> "Table":
        """Return the rows of several tables; a column that some lack is empty in theirs."""
        if len(tables) == 1:
            return tables[0]
        names = dict.fromkeys(name for table in tables for name in table.columns)
        columns = {name: pa.concat_arrays([table.column(name) for table in tables]) for name in names}
        files = tuple(each for table in tables for each in table.files)
        return cls(columns, np.concatenate([np.zeros(0, int), *(table.numbers for table in tables)]), files)

    def column(self, name: str) -> pa.StringArray:
        """Return a column, one of empty cells where there is none."""
        if name in self.columns:
            return self.columns[name]
        return pa.repeat(pa.scalar("", pa.string()), len(self))

    def where(self, row: int) -> str:
        """Return file and number of a row as a person would look for it."""
        ends = np.cumsum([rows for _, rows in self.files])
        return f"{self.files[int(np.searchsorted(ends, row, 'right'))][0]} row {self.numbers[row]}"

    def __len__(self) -> int:
        return len(self.numbers)


def read_tables(folder: Path, config: Config) -> Iterator[Table | Finding]:
    """Yield the tables of a batch, and a finding for each row, column or file that is not in them."""
    readers = {".csv": _csv, ".tsv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = [name for name in names if not any(part in _JUNK or part.startswith("._") for part in name.split("/"))]
    if not any(Path(name).suffix.lower() in readers for name in names):
        yield finding("TXT001", detail=", ".join(names[:5]))
    for name in names:
        reader = readers.get(Path(name).suffix.lower())
        if reader is None or (folder / name).is_symlink():
            yield finding("TXT036", name)
        else:
            yield from reader(folder / name, name, config)


def _columns(names: list[str], name: str, config: Config) -> tuple[dict[int, str], list[Finding]]:
    """Return which of a file's columns are known, by position, and what is wrong with the others."""
    known = {column.casefold(): column for column in config.columns if column}
    found = [known.get(each.strip().casefold(), "") for each in names]
    missing = [column for column in config.required if column not in found]
    twice = sorted({column for column in found if column and found.count(column) > 1})
    if missing or twice:
        wrong = [f"no column {column}" for column in missing] + [f"column {column} twice" for column in twice]
        return {}, [finding("TXT002", name, f"{', '.join(wrong)}; there are: {', '.join(names)}")]
    ignored = [finding("TXT035", detail=each) for each, column in zip(names, found, strict=True) if not column]
    return {at: column for at, column in enumerate(found) if column}, ignored


def _csv(path: Path, name: str, config: Config) -> Iterator[Table | Finding]:
    raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if problem := _no_text(raw):
        yield finding("TXT006", name, problem)
        return
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    delimiter, names = _header(raw, config)
    known, remarks = _columns(names, name, config)
    yield from remarks
    if not known:
        return
    lost: list[tuple[int, str, str]] = []
    careful = needs_care(raw)
    if careful:
        raw, lost = repaired(raw, delimiter, len(names))
    table, ragged = _read_csv(raw, delimiter, names, careful)
    if ragged:
        table, ragged = _read_csv(raw, delimiter, names, careful, threads=False)
    places = np.arange(1, len(table) + len(ragged) + len(lost) + 1)
    places = np.delete(places, [row - 2 for row, _, _ in lost])
    for row, code, detail in lost:
        yield finding(code, f"{name} row {row - 1}", detail)
    for number, detail in ragged:
        yield finding("TXT003", f"{name} row {places[number - 2]}", detail)
    places = np.delete(places, [number - 2 for number, _ in ragged])
    yield Table.of(name, {column: _text(table.column(at)) for at, column in known.items()}, places)


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


def _read_csv(
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


def _jsonl(path: Path, name: str, config: Config) -> Iterator[Table | Finding]:
    seen: set[str] = set()
    rows: list[dict[str, str]] = []
    numbers: list[int] = []
    wanted = {column.casefold(): column for column in config.columns if column}
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(LONGEST_LINE + 1):
            number += 1
            where = f"{name} row {number}"
            if len(raw) > LONGEST_LINE:
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(LONGEST_LINE)
                yield finding("TXT012", where, f"more than {LONGEST_LINE} bytes")
                continue
            if not raw.strip():
                continue
            row = _object(raw.removeprefix(b"\xef\xbb\xbf"), wanted, config)
            if isinstance(row, tuple):
                yield finding(row[0], where, row[1])
                continue
            yield from (finding("TXT035", detail=each) for each in sorted({*row} - {*wanted.values()} - seen))
            seen |= {*row}
            rows.append(row)
            numbers.append(number)
    if not rows and not number:
        yield finding("TXT006", name, "empty")
    present = [column for column in wanted.values() if column in seen]
    columns = {each: pa.array([row.get(each, "") for row in rows], pa.string()) for each in present}
    if rows:
        yield Table.of(name, columns, np.array(numbers))


def _object(raw: bytes, wanted: dict[str, str], config: Config) -> dict[str, str] | tuple[str, str]:
    """Return a JSON line's known values as text, unknown ones as '', or a code and what is wrong."""
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        return "TXT004", f"byte {raw[error.start]:#04x} at {error.start}"
    except (ValueError, RecursionError) as error:
        return "TXT003", str(error)
    if not isinstance(value, dict):
        return "TXT003", "not an object"
    row: dict[str, Any] = {str(wanted.get(key.strip().casefold(), key)): each for key, each in value.items()}
    if missing := [column for column in config.required if column not in row]:
        return "TXT003", f"no {' and no '.join(missing)}"
    for key, each in row.items():
        text = _plain(each) if key in wanted.values() else ""
        if text is None:
            return "TXT003", f"{key} is {type(each).__name__}"
        try:
            text.encode()
        except UnicodeEncodeError:
            return "TXT004", f"{key} holds half a character"
        row[key] = text
    return row


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _plain(value: Any) -> str | None:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return value
        case int() | float():
            return repr(value)
        case list() if all(isinstance(each, str) for each in value):
            return ";".join(value)
        case _:
            return None


def _parquet(path: Path, name: str, config: Config) -> Iterator[Table | Finding]:
    try:
        with path.open("rb") as opened:
            head = pq.ParquetFile(opened)
            names = list(head.schema_arrow.names)
            known, remarks = _columns(names, name, config)
            yield from remarks
            if known:
                wanted = {names[at]: column for at, column in known.items()}
                text = [each for each in wanted if pa.types.is_string(head.schema_arrow.field(each).type)]
                file = pq.ParquetFile(opened, read_dictionary=text)
                columns = _small_batches(file, wanted, config.max_chars)
                rows = len(next(iter(columns.values())))
                yield Table.of(name, columns, np.arange(1, rows + 1))
    except (pa.ArrowException, OSError, ValueError) as error:
        yield finding("TXT006", name, str(error).partition("\n")[0])


def _small_batches(file: pq.ParquetFile, wanted: dict[str, str], longest: int) -> dict[str, pa.StringArray]:
    """Read few rows at a time: a small file can unfold to any size, for a repeated value is stored once."""
    parts: dict[str, list[pa.StringArray]] = {column: [] for column in wanted.values()}
    size = 0
    for batch in file.iter_batches(_BATCH_ROWS, columns=list(wanted)):
        for name, column in wanted.items():
            part = _text(pa.chunked_array([_shortened(batch.column(name), longest)]))
            size += part.nbytes
            parts[column].append(part)
        if size > MOST_BYTES:
            raise ValueError(f"it unfolds to more than {MOST_BYTES >> 20} MB")
    return {column: pa.concat_arrays(each) if each else pa.array([], pa.string()) for column, each in parts.items()}


def _shortened(column: pa.Array, longest: int) -> pa.Array:
    """Replace values that are repeated by reference and longer than any message may be by one that is just too long."""
    if not isinstance(column, pa.DictionaryArray):
        return column
    long = pc.greater(pc.binary_length(column.dictionary), 4 * longest)
    values = pc.if_else(long, pa.scalar("x" * (longest + 1)), column.dictionary)
    return pa.DictionaryArray.from_arrays(column.indices, values)


def _text(column: pa.ChunkedArray) -> pa.StringArray:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        column = pc.binary_join(pc.cast(column, pa.list_(pa.string())), ";")
    array = pc.cast(column, pa.string()).combine_chunks()
    array = array if isinstance(array, pa.StringArray) else pa.concat_arrays(array.chunks)
    return pc.fill_null(array, "") if array.null_count else array
