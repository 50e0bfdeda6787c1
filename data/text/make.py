"""Make the committed synthetic text sets of intent, context, worthiness and emotion: golden, sealed, sample batches.

Everything is drawn from `recipe/` and its seed: the same bytes every time, as `digests.json` says. No person wrote any
of the messages; every row says `origin: synthetic`.

    python data/text/make.py            write data/golden/<line>, <line>-sealed and data/samples/<line>
    python data/text/make.py --check    make them again elsewhere and compare; exit 3 if the tools differ
"""

import argparse
import csv
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
from phrases import recipe
from rows import Row, edge, emotion, single_label, worthiness

from mlops_assets.core.digests import sha256_file, sha256_folder

HERE = Path(__file__).parent
DATA = HERE.parent
PATHS = {"golden": "golden/{line}/messages", "sealed": "golden/{line}-sealed/messages"}


def tools() -> dict[str, str]:
    """Return the versions that decide the bytes, those of Parquet files only."""
    return {"pyarrow": pyarrow.__version__}


def table(rows: list[Row], form: str) -> bytes:
    """Write rows as CSV, JSON lines or Parquet, the same bytes every time."""
    if form == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if form == "parquet":
        file = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file, compression="zstd")
        return file.getvalue()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


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


def main() -> int:
    """Write the sets, or check that they can be made again."""
    parser = argparse.ArgumentParser(description="Make the committed synthetic text sets.")
    parser.add_argument("--check", action="store_true", help="make them in a temporary folder and compare digests")
    check = parser.parse_args().check
    record = HERE / "digests.json"
    if not check:
        record.write_text(json.dumps({"tools": tools(), "digests": make(DATA)}, indent=2) + "\n")
        return 0
    recorded = json.loads(record.read_text())
    if tools() != recorded["tools"]:
        print(f"Not comparable: made with {recorded['tools']}, here is {tools()}.")
        return 3
    with tempfile.TemporaryDirectory() as folder:
        again = make(Path(folder))
    changed = [
        name for name in sorted({*again, *recorded["digests"]}) if again.get(name) != recorded["digests"].get(name)
    ]
    print(f"Changed: {', '.join(changed)}. Run data/text/make.py and commit." if changed else "The same bytes again.")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
