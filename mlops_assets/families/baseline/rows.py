"""The numbered reasons of a baseline batch, and its rows as they were written."""

from collections.abc import Iterator
from pathlib import Path

from mlops_assets.core.findings import Rules
from mlops_assets.core.records.data import Finding, Severity
from mlops_assets.core.rows import Broken, file_names, text_rows

COLUMNS = ("text", "label", "user", "origin")
REQUIRED = ("text", "label")
CODES = {"header": "BAS002", "row": "BAS003", "long": "BAS004", "column": "BAS020"}
READ = (".csv", ".jsonl")

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


finding, refusal = Rules(RULES).finding, Rules(RULES).refusal


def read_rows(folder: Path) -> Iterator[dict[str, str] | Finding]:
    """Yield the rows of every CSV and JSONL file, and a finding for each that cannot be read."""
    names = file_names(folder)
    if not any(Path(name).suffix.lower() in READ for name in names):
        yield finding("BAS001")
    for name in names:
        if Path(name).suffix.lower() not in READ or not (folder / name).is_file():
            yield finding("BAS021", name)
            continue
        for row in text_rows(folder / name, COLUMNS, REQUIRED):
            yield _finding(name, row) if isinstance(row, Broken) else row.values


def _finding(name: str, broken: Broken) -> Finding:
    return finding(CODES[broken.kind], None if broken.kind == "column" else f"{name} {broken.where}", broken.detail)
