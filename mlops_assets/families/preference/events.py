"""Events as a contributor wrote them: JSONL, CSV or Parquet, one flat row after the other, whatever the file does.

Parquet is read in slices of known size; a file that would not fit is refused by what its footer says.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.core.records.data import Finding
from mlops_assets.core.rows import LONGEST_LINE, Broken, csv_rows, file_names, json_rows
from mlops_assets.families.preference.findings import finding

SLICE_ROWS = 512  # of cells that may be long: this many are in memory at once
MAX_GROUP_BYTES = 1 << 28
MAX_IGNORED = 50
CODES = {"header": "PRF002", "row": "PRF003", "long": "PRF004", "column": "PRF040"}

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Row:
    """One event: where it stands, and the cells of the columns asked for that it has."""

    place: str
    cells: dict[str, Cell]


def read_rows(folder: Path, wanted: Sequence[str]) -> Iterator[Row | Finding]:
    """Yield the events of every file in order of names, and a finding for each that cannot be read."""
    names = {folder / name: name for name in file_names(folder) if not (folder / name).is_symlink()}
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


def _jsonl(path: Path, name: str, wanted: Sequence[str]) -> Iterator[Row | Finding]:
    for found in json_rows(path, wanted):
        if isinstance(found, Broken):
            yield _finding(name, found)
        elif wrong := [key for key, value in found.values.items() if isinstance(value, dict | list)]:
            yield _finding(name, Broken("row", found.where, f"{' and '.join(wrong)} must be plain"))
        else:
            yield Row(f"{name} {found.where}", found.values)


def _csv(path: Path, name: str, wanted: Sequence[str]) -> Iterator[Row | Finding]:
    for found in csv_rows(path, wanted):
        if isinstance(found, Broken):
            yield _finding(name, found)
        else:
            yield Row(f"{name} {found.where}", {key: cell for key, cell in found.values.items() if cell.strip()})


def _finding(name: str, broken: Broken) -> Finding:
    places = {"header": name, "column": None}
    return finding(CODES[broken.kind], places.get(broken.kind, f"{name} {broken.where}"), broken.detail)


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
                    if any(isinstance(each, str) and len(each) > LONGEST_LINE for each in cells.values()):
                        yield finding("PRF004", place, f"a cell of more than {LONGEST_LINE} characters")
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


_READERS: dict[str, Callable[[Path, str, Sequence[str]], Iterator[Row | Finding]]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
