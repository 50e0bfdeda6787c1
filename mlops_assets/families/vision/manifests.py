"""Read what a contributor says about the pictures: a CSV or JSONL manifest, or the folder that each one lies in.

A physical line is a row: a broken row costs itself and never the rest of the file, as an unclosed quote would.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from mlops_assets.core.records import Finding
from mlops_assets.families.vision.findings import finding
from mlops_assets.families.vision.pictures import SUFFIXES

MANIFESTS = ("manifest.csv", "manifest.jsonl")
REQUIRED = ("path", "label")
COLUMNS = (*REQUIRED, "source", "light", "origin")
MAX_LINE = 65_536
_JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Row:
    """One picture and its label as the contributor named them; `path` is relative to the batch's root."""

    path: str
    label: str
    source: str = ""
    light: str = ""
    origin: str = ""


def read_batch(folder: Path) -> tuple[Path, Iterator[Row | Finding]]:
    """Return the folder that paths are relative to, and every row and finding of the batch.

    Without a manifest a picture's label is the name of the folder it lies in. Pictures that no row names give VIS006,
    other files VIS042. A manifest without its columns, with a column twice, or a second manifest gives VIS001.
    """
    root = _root(folder)
    files = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if (path.is_file() or path.is_symlink()) and not any(_junk(part) for part in path.relative_to(root).parts)
    )
    manifests = [name for name in MANIFESTS if name in files]
    if len(manifests) > 1:
        return root, iter((finding("VIS001", detail="two manifests; keep one"),))
    return root, _listed(root, manifests[0], files) if manifests else _by_folder(files)


def outside(path: str) -> bool:
    """Say whether a path of a manifest leaves the batch, or is none."""
    pure = PurePosixPath(path)
    return not path or "\\" in path or pure.is_absolute() or bool(PureWindowsPath(path).drive) or ".." in pure.parts


def _root(folder: Path) -> Path:
    """Return the folder that the manifest is in, for zips often wrap everything in one; else the batch's own."""
    at = folder
    while not any((at / name).is_file() for name in MANIFESTS):
        inside = [path for path in at.iterdir() if not _junk(path.name)]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].is_symlink():
            return folder
        at = inside[0]
    return at


def _listed(root: Path, manifest: str, files: list[str]) -> Iterator[Row | Finding]:
    named = {manifest}
    for row in _csv(root / manifest) if manifest.endswith(".csv") else _jsonl(root / manifest):
        if isinstance(row, Row):
            named.add(str(PurePosixPath(row.path)))
        yield row
        if isinstance(row, Finding) and row.severity == "quarantine":
            return
    for name in files:
        if name not in named:
            yield finding("VIS006" if name.lower().endswith(SUFFIXES) else "VIS042", name)


def _by_folder(files: list[str]) -> Iterator[Row | Finding]:
    if not any(name.lower().endswith(SUFFIXES) for name in files):
        yield finding("VIS009")
    for name in files:
        if not name.lower().endswith(SUFFIXES):
            yield finding("VIS042", name)
        elif "/" not in name:
            yield finding("VIS006", name)
        else:
            yield Row(name, PurePosixPath(name).parent.name)


def _csv(path: Path) -> Iterator[Row | Finding]:
    lines = _lines(path)
    header = next(lines, (0, ""))[1]
    names = [] if isinstance(header, Finding) else [name.strip().lower() for name in _fields(header) or ()]
    if problem := _header_problem(names):
        yield finding("VIS001", detail=problem)
        return
    yield from (finding("VIS041", detail=name) for name in names if name not in COLUMNS)
    for number, line in lines:
        if isinstance(line, Finding):
            yield line
            continue
        fields = _fields(line)
        if fields is None or len(fields) != len(names):
            wrong = "quoting" if fields is None else f"{len(fields)} fields, {len(names)} columns"
            yield finding("VIS003", f"line {number}", wrong)
        else:
            yield _row(dict(zip(names, fields, strict=True)))


def _fields(line: str) -> list[str] | None:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return None


def _header_problem(names: list[str]) -> str:
    if len(set(names)) < len(names):
        return "a column name occurs twice"
    return ", ".join(f"no column {name}" for name in REQUIRED if name not in names)


def _jsonl(path: Path) -> Iterator[Row | Finding]:
    ignored: set[str] = set()
    for number, line in _lines(path):
        if isinstance(line, Finding):
            yield line
            continue
        try:
            value: Any = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            yield finding("VIS003", f"line {number}", str(error))
            continue
        known = (
            {name: value[name] for name in COLUMNS if value.get(name) is not None} if isinstance(value, dict) else {}
        )
        if not set(REQUIRED) <= set(known) or not all(isinstance(each, str) for each in known.values()):
            yield finding("VIS003", f"line {number}", "not an object of texts with path and label")
            continue
        yield from (finding("VIS041", detail=name) for name in sorted({*value} - {*COLUMNS} - ignored))
        ignored |= {*value}
        yield _row(known)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _row(values: dict[str, str]) -> Row:
    return Row(**{name: values.get(name, "").strip() for name in COLUMNS})


def _lines(path: Path) -> Iterator[tuple[int, str | Finding]]:
    """Yield number and text of each line that is not blank; a line that is too long or not UTF-8 is a finding."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            if len(raw) > MAX_LINE:
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(MAX_LINE)
                yield number, finding("VIS003", f"line {number}", f"more than {MAX_LINE} bytes")
                continue
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                yield number, finding("VIS003", f"line {number}", "not UTF-8")
                continue
            if text.strip():
                yield number, text


def _junk(name: str) -> bool:
    return name in _JUNK or name.startswith("._")
