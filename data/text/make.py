"""Make the committed synthetic text sets of intent, context, worthiness and emotion: golden, sealed, sample batches.

Everything is drawn from `recipe/` and its seed: the same bytes every time, as `digests.json` says. No person wrote any
of the messages; every row says `origin: synthetic`.

    python -m data.text.make            write data/golden/<line>, <line>-sealed and data/samples/<line>
    python -m data.text.make --check    make them again elsewhere and compare; exit 3 if the tools differ
"""

import io
import shutil
from pathlib import Path

import pyarrow
import pyarrow.parquet

from data.making import csv_text, json_lines, run
from data.text.phrases import recipe
from data.text.rows import Row, edge, emotion, single_label, worthiness
from mlops_assets.core.digests import sha256_file, sha256_folder

PATHS = {"golden": "golden/{line}/messages", "sealed": "golden/{line}-sealed/messages"}


def tools() -> dict[str, str]:
    """Return the versions that decide the bytes, those of Parquet files only."""
    return {"pyarrow": pyarrow.__version__}


def table(rows: list[Row], form: str) -> bytes:
    """Write rows as CSV, JSON lines or Parquet, the same bytes every time."""
    if form == "parquet":
        file = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file, compression="zstd")
        return file.getvalue()
    return (json_lines(rows) if form == "jsonl" else csv_text(rows)).encode()


def sets() -> dict[str, tuple[list[Row], str]]:
    """Draw every set: rows and format, by its path without suffix."""
    made: dict[str, tuple[list[Row], str]] = {}
    for line, listed in recipe("sets").items():
        for name, size in listed.items():
            path = PATHS.get(name, "samples/{line}/{name}").format(line=line, name=name)
            golden = made[PATHS["golden"].format(line=line)][0] if name != "golden" else []
            known = golden if name == "sealed" else []
            if line == "worthiness":
                rows = worthiness(name, size, known, copied=golden)
            else:
                rows = emotion(name, size, known) if line == "emotion" else single_label(line, name, size, known)
            made[path] = rows, size["format"]
    made["golden/intent-edge/messages"] = edge(), "csv"
    return made


def make(out: Path) -> dict[str, str]:
    """Write every set under `out`; return the digest of each golden folder and each batch."""
    digests = {}
    for name, (rows, form) in sets().items():
        path = out / f"{name}.{form}"
        if name.startswith("golden"):
            shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(table(rows, form))
        golden = name.startswith("golden")
        digests[str(Path(name).parent if golden else f"{name}.{form}")] = (
            sha256_folder(path.parent) if golden else sha256_file(path)
        )
    return digests


if __name__ == "__main__":
    run("text", make, tools)
