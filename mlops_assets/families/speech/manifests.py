"""Read what a contributor wrote beside the recordings: a CSV or JSONL manifest, or a text file per recording.

A physical line is a row: a broken row costs itself and never the rest of the file, as an unclosed quote would.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mlops_assets.core.records import Finding
from mlops_assets.families.speech.audio import SUFFIXES
from mlops_assets.families.speech.findings import finding

MANIFESTS = ("manifest.csv", "manifest.jsonl")
REQUIRED = ("path", "transcript")
COLUMNS = (*REQUIRED, "speaker", "language", "origin")
MAX_LINE = 65_536
_JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Row:
    """One recording with its transcript, as the contributor named them; `path` is relative to the batch's root."""

    path: str
    transcript: str
    speaker: str = ""
    language: str = ""
    origin: str = ""


def root_of(folder: Path) -> Path:
    """Return the folder the batch's files are in: zips often wrap everything in one folder."""
    while True:
        inside = [path for path in folder.iterdir() if not _junk(path.name)]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].is_symlink():
            return folder
        folder = inside[0]


def read_rows(root: Path) -> Iterator[Row | Finding]:
    """Yield every row and every finding of a batch's manifest, or of its recordings' text files.

    Recordings no row names yield SPC007, other files SPC035. A manifest without the required columns, with a column
    twice, or a second manifest yields SPC001 and no row.
    """
    manifests = [root / name for name in MANIFESTS if (root / name).is_file()]
    files = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and not any(_junk(part) for part in path.relative_to(root).parts)
    )
    if len(manifests) > 1:
        yield finding("SPC001", detail="two manifests; keep one")
        return
    if not manifests:
        yield from _siblings(root, files)
        return
    named = {manifests[0].name}
    for row in _csv(manifests[0]) if manifests[0].suffix == ".csv" else _jsonl(manifests[0]):
        if isinstance(row, Row):
            named.add(str(PurePosixPath(row.path)))
        yield row
        if isinstance(row, Finding) and row.severity == "quarantine":
            return
    yield from _unnamed(files, named)


def _unnamed(files: list[str], named: set[str]) -> Iterator[Finding]:
    for name in files:
        if name not in named:
            yield finding("SPC007" if name.lower().endswith(SUFFIXES) else "SPC035", name)


def _siblings(root: Path, files: list[str]) -> Iterator[Row | Finding]:
    texts = {str(PurePosixPath(name).with_suffix("")): name for name in files if name.lower().endswith(".txt")}
    recordings = [name for name in files if name.lower().endswith(SUFFIXES)]
    named = {*recordings, *texts.values()}
    for name in recordings:
        text = texts.pop(str(PurePosixPath(name).with_suffix("")), None)
        if text is None:
            yield finding("SPC007", name)
        elif (root / text).stat().st_size > MAX_LINE:
            yield finding("SPC004", name)
        else:
            try:
                yield Row(name, (root / text).read_text(encoding="utf-8-sig"))
            except UnicodeDecodeError:
                yield finding("SPC003", name, "not UTF-8")
    for text in texts.values() if recordings else ():
        yield finding("SPC006", text)
    yield from (_unnamed(files, named) if recordings else (finding("SPC001", detail="no recordings and no manifest"),))


def _lines(path: Path) -> Iterator[tuple[int, str | Finding]]:
    """Yield number and text of each line that is not blank; a line that is too long or not UTF-8 is a finding."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            if len(raw) > MAX_LINE:
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(MAX_LINE)
                yield number, finding("SPC004", f"line {number}", f"more than {MAX_LINE} bytes")
                continue
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                yield number, finding("SPC003", f"line {number}", "not UTF-8")
                continue
            if text.strip():
                yield number, text


def _csv(path: Path) -> Iterator[Row | Finding]:
    lines = _lines(path)
    header = next(lines, (0, ""))[1]
    if isinstance(header, Finding):
        yield finding("SPC001", detail=header.detail)
        return
    names = [name.strip().lower() for name in _fields(header) or ()]
    problem = _header_problem(names)
    if problem:
        yield finding("SPC001", detail=problem)
        return
    yield from (finding("SPC034", detail=name) for name in names if name not in COLUMNS)
    for number, line in lines:
        if isinstance(line, Finding):
            yield line
            continue
        fields = _fields(line)
        if fields is None:
            yield finding("SPC003", f"line {number}", "quoting")
        elif len(fields) != len(names):
            yield finding("SPC003", f"line {number}", f"{len(fields)} fields, {len(names)} columns")
        else:
            yield _row(dict(zip(names, fields, strict=True)))


def _fields(line: str) -> list[str] | None:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error:
        return None


def _header_problem(names: list[str]) -> str:
    if len(set(names)) < len(names):
        return "a column name occurs twice"
    missing = [name for name in REQUIRED if name not in names]
    return f"no column {' and no column '.join(missing)}" if missing else ""


def _jsonl(path: Path) -> Iterator[Row | Finding]:
    extra: set[str] = set()
    for number, line in _lines(path):
        if isinstance(line, Finding):
            yield line
            continue
        try:
            value = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            yield finding("SPC003", f"line {number}", str(error))
            continue
        problem = _object_problem(value)
        if problem:
            yield finding("SPC003", f"line {number}", problem)
            continue
        for name in sorted(set(value) - set(COLUMNS) - extra):
            extra.add(name)
            yield finding("SPC034", detail=name)
        yield _row({name: value[name] or "" for name in COLUMNS if name in value})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _object_problem(value: Any) -> str:
    if not isinstance(value, dict):
        return "not an object"
    missing = [name for name in REQUIRED if name not in value]
    if missing:
        return f"no {' and no '.join(missing)}"
    wrong = [name for name in COLUMNS if not isinstance(value.get(name, ""), str | None)]
    return f"{' and '.join(wrong)} must be text" if wrong else ""


def _row(values: dict[str, str]) -> Row:
    cleaned = {name: value.strip() for name, value in values.items() if name in COLUMNS and name != "transcript"}
    return Row(transcript=values["transcript"], **cleaned)


def _junk(name: str) -> bool:
    return name in _JUNK or name.startswith("._")
