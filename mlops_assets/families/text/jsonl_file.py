"""Read a JSONL file line by line: a broken line costs itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mlops_assets.core.records.data import Finding
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
