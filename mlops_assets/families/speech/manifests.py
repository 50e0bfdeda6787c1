"""Read what a contributor wrote beside the recordings: a CSV or JSONL manifest, or a text file per recording."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlops_assets.core.records.data import Finding
from mlops_assets.core.rows import LONGEST_LINE, Broken, file_names, nested, text_rows
from mlops_assets.families.speech.audio import SUFFIXES
from mlops_assets.families.speech.findings import finding

MANIFESTS = ("manifest.csv", "manifest.jsonl")
REQUIRED = ("path", "transcript")
COLUMNS = (*REQUIRED, "speaker", "language", "origin")
CODES = {"header": "SPC001", "row": "SPC003", "long": "SPC004", "column": "SPC034"}


@dataclass(frozen=True)
class Row:
    """One recording with its transcript, as the contributor named them; `path` is relative to the batch's root."""

    path: str
    transcript: str
    speaker: str = ""
    language: str = ""
    origin: str = ""


def root_of(folder: Path) -> Path:
    """Return the folder the batch's files are in."""
    *_, innermost = nested(folder)
    return innermost


def read_rows(root: Path) -> Iterator[Row | Finding]:
    """Yield every row and every finding of a batch's manifest, or of its recordings' text files.

    Recordings no row names yield SPC007, other files SPC035. A manifest without the required columns, with a column
    twice, or a second manifest yields SPC001 and no row.
    """
    manifests = [root / name for name in MANIFESTS if (root / name).is_file()]
    files = [name for name in file_names(root) if (root / name).is_file()]
    if len(manifests) > 1:
        yield finding("SPC001", detail="two manifests; keep one")
        return
    if not manifests:
        yield from _siblings(root, files)
        return
    named = {manifests[0].name}
    for found in text_rows(manifests[0], COLUMNS, REQUIRED):
        if isinstance(found, Broken):
            yield _finding(found)
            if found.kind == "header":
                return
            continue
        row = _row(found.values)
        named.add(str(PurePosixPath(row.path)))
        yield row
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
        elif (root / text).stat().st_size > LONGEST_LINE:
            yield finding("SPC004", name)
        else:
            try:
                yield Row(name, (root / text).read_text(encoding="utf-8-sig"))
            except UnicodeDecodeError:
                yield finding("SPC003", name, "not UTF-8")
    for text in texts.values() if recordings else ():
        yield finding("SPC006", text)
    yield from (_unnamed(files, named) if recordings else (finding("SPC001", detail="no recordings and no manifest"),))


def _row(values: dict[str, str]) -> Row:
    cleaned = {name: value.strip() for name, value in values.items() if name != "transcript"}
    return Row(transcript=values.get("transcript", ""), **{"path": "", **cleaned})


def _finding(broken: Broken) -> Finding:
    where = broken.where if broken.kind in ("row", "long") else None
    return finding(CODES[broken.kind], where, broken.detail)
