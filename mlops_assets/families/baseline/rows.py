"""The numbered reasons of a baseline batch, and its rows as they were written.

A physical line is a row: a broken row costs itself and never the rest of the file, as an unclosed quote would.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlops_assets.core.records import Finding, Severity

COLUMNS = ("text", "label", "user", "origin")
MAX_LINE_BYTES = 65_536
DETAIL_CHARACTERS = 160
JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")

RULES: dict[str, tuple[str, Severity]] = {
    "BAS001": ("no CSV or JSONL file", "quarantine"),
    "BAS002": ("columns cannot be told: one is missing or there twice", "quarantine"),
    "BAS003": ("row cannot be read", "drop"),
    "BAS004": ("line too long", "drop"),
    "BAS005": ("control or NUL character", "drop"),
    "BAS010": ("empty text", "drop"),
    "BAS011": ("unknown label", "drop"),
    "BAS012": ("text occurs again", "drop"),
    "BAS013": ("origin is neither 'real' nor 'synthetic'", "drop"),
    "BAS020": ("column ignored", "flag"),
    "BAS021": ("file ignored", "flag"),
    "BAS022": ("all items have one label", "flag"),
}


def read_rows(folder: Path) -> Iterator[dict[str, str] | Finding]:
    """Yield the rows of every CSV and JSONL file, and a finding for each that cannot be read."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = [name for name in names if not any(part in JUNK or part.startswith("._") for part in name.split("/"))]
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows}
    if not any(Path(name).suffix.lower() in readers for name in names):
        yield finding("BAS001")
    for name in names:
        reader = readers.get(Path(name).suffix.lower())
        yield from (finding("BAS021", name),) if reader is None else reader(folder / name)


def _lines(path: Path) -> Iterator[str | Finding]:
    with path.open("rb") as file:
        while raw := file.readline(MAX_LINE_BYTES + 1):
            if len(raw) > MAX_LINE_BYTES:
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(MAX_LINE_BYTES)
                yield finding("BAS004", path.name)
                continue
            try:
                line = raw.decode("utf-8").removeprefix("\ufeff").rstrip("\r\n")
            except UnicodeDecodeError:
                yield finding("BAS003", path.name, "not UTF-8")
                continue
            if line.strip():
                yield line


def _csv_rows(path: Path) -> Iterator[dict[str, str] | Finding]:
    lines = _lines(path)
    head = next(lines, "")
    names = [] if isinstance(head, Finding) else [name.strip().lower() for name in next(csv.reader([head]), [])]
    if len(set(names)) < len(names) or not {"text", "label"} <= set(names):
        yield finding("BAS002", path.name, ", ".join(names))
        return
    yield from (finding("BAS020", detail=name) for name in names if name not in COLUMNS)
    for line in lines:
        if isinstance(line, Finding):
            yield line
            continue
        try:
            fields = next(csv.reader([line], strict=True))
        except csv.Error as error:
            yield finding("BAS003", line, str(error))
            continue
        if len(fields) != len(names):
            yield finding("BAS003", line, f"{len(fields)} fields, {len(names)} columns")
        else:
            yield {name: value for name, value in zip(names, fields, strict=True) if name in COLUMNS}


def _jsonl_rows(path: Path) -> Iterator[dict[str, str] | Finding]:
    ignored: set[str] = set()
    for line in _lines(path):
        if isinstance(line, Finding):
            yield line
            continue
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        known = {name: row[name] for name in COLUMNS if row.get(name) is not None} if isinstance(row, dict) else {}
        if not {"text", "label"} <= set(known) or not all(isinstance(value, str) for value in known.values()):
            yield finding("BAS003", line)
            continue
        yield from (finding("BAS020", detail=name) for name in sorted({*row} - {*COLUMNS} - ignored))
        ignored |= {*row}
        yield known


def finding(code: str, item: str | None = None, detail: str = "") -> Finding:
    """Return the finding `code`; what comes from the batch is cut short and stripped of control characters."""
    title, severity = RULES[code]
    return Finding(code=code, title=title, severity=severity, item=item and _plain(item), detail=_plain(detail))


def _plain(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:DETAIL_CHARACTERS])
