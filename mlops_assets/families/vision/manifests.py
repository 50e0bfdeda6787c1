"""Read what a contributor says about the pictures: a CSV or JSONL manifest, or the folder that each one lies in."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from mlops_assets.core.records.data import Finding
from mlops_assets.core.rows import Broken, file_names, nested, text_rows
from mlops_assets.families.vision.findings import finding
from mlops_assets.families.vision.pictures import SUFFIXES

MANIFESTS = ("manifest.csv", "manifest.jsonl")
REQUIRED = ("path", "label")
COLUMNS = (*REQUIRED, "source", "light", "origin")
CODES = {"header": "VIS001", "row": "VIS003", "long": "VIS003", "column": "VIS041"}


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
    files = file_names(root)
    manifests = [name for name in MANIFESTS if name in files]
    if len(manifests) > 1:
        return root, iter((finding("VIS001", detail="two manifests; keep one"),))
    return root, _listed(root, manifests[0], files) if manifests else _by_folder(files)


def outside(path: str) -> bool:
    """Say whether a path of a manifest leaves the batch, or is none."""
    pure = PurePosixPath(path)
    return not path or "\\" in path or pure.is_absolute() or bool(PureWindowsPath(path).drive) or ".." in pure.parts


def _root(folder: Path) -> Path:
    """Return the folder that the manifest is in, else the batch's own: a folder's name may be a label."""
    return next((each for each in nested(folder) if any((each / name).is_file() for name in MANIFESTS)), folder)


def _listed(root: Path, manifest: str, files: list[str]) -> Iterator[Row | Finding]:
    named = {manifest}
    for found in text_rows(root / manifest, COLUMNS, REQUIRED):
        if isinstance(found, Broken):
            yield _finding(found)
            if found.kind == "header":
                return
            continue
        row = _row(found.values)
        named.add(str(PurePosixPath(row.path)))
        yield row
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


def _row(values: dict[str, str]) -> Row:
    return Row(**{name: values.get(name, "").strip() for name in COLUMNS})


def _finding(broken: Broken) -> Finding:
    where = broken.where if broken.kind in ("row", "long") else None
    return finding(CODES[broken.kind], where, broken.detail)
