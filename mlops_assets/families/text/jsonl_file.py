"""Read a JSONL file line by line: a broken line costs itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mlops_assets.core.records.data import Finding
from mlops_assets.core.rows import Broken, lines, parsed
from mlops_assets.families.text.config import Config
from mlops_assets.families.text.findings import finding
from mlops_assets.families.text.sound import LONGEST_LINE
from mlops_assets.families.text.table import Table


def read_jsonl(path: Path, name: str, config: Config) -> Iterator[Table | Finding]:
    """Yield the table of a JSONL file, and a finding for what is not in it."""
    seen: set[str] = set()
    rows: list[dict[str, str]] = []
    numbers: list[int] = []
    wanted = {column.casefold(): column for column in config.columns if column}
    where = ""
    for where, line in lines(path, LONGEST_LINE):
        number = where.removeprefix("line ")
        row = _object(line, wanted, config)
        if isinstance(row, tuple):
            yield finding(row[0], f"{name} row {number}", row[1])
            continue
        yield from (finding("TXT035", detail=each) for each in sorted({*row} - {*wanted.values()} - seen))
        seen |= {*row}
        rows.append(row)
        numbers.append(int(number))
    if not where:
        yield finding("TXT006", name, "empty")
    present = [column for column in wanted.values() if column in seen]
    columns = {each: pa.array([row.get(each, "") for row in rows], pa.string()) for each in present}
    if rows:
        yield Table.of(name, columns, np.array(numbers))


def _object(line: str | Broken, wanted: dict[str, str], config: Config) -> dict[str, str] | tuple[str, str]:
    """Return a JSON line's known values as text, unknown ones as '', or a code and what is wrong."""
    if isinstance(line, Broken):
        return ("TXT012" if line.kind == "long" else "TXT004"), line.detail
    try:
        value = parsed(line)
    except UnicodeError as error:
        return "TXT004", str(error)
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
        row[key] = text
    return row


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
