"""What the makers of committed sets share: files that are spelled one way, and `--check`, which makes all of it again.

A maker is run from the project folder: `python -m data.speech.make`.
"""

import argparse
import csv
import io
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlops_assets.core.digests import sha256_file, sha256_folder

DATA = Path(__file__).parent
EPOCH = (1980, 1, 1, 0, 0, 0)


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as CSV; columns are those of the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def json_lines(rows: Sequence[Mapping[str, Any]], separators: tuple[str, str] | None = None) -> str:
    """Write rows as JSON lines, with JSON's usual separators or others."""
    return "".join(json.dumps(row, ensure_ascii=False, separators=separators) + "\n" for row in rows)


def write_zip(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a zip whose bytes depend on the files alone: sorted, stored, one date."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, files[name])


def write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a set as a folder, in place of what was there."""
    if target.exists():
        shutil.rmtree(target)
    for name, content in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)


def run(what: str, make: Callable[[Path], dict[str, str]], tools: Callable[[], dict[str, str]]) -> None:
    """Write the sets `what` and their digests, or check that they are what would be made; ends the program.

    `make` writes every set under a folder and returns their digests by path; `tools` are the versions that decide the
    bytes. Exit status of a check: 0 the same bytes, 1 others, 3 other tools.
    """
    parser = argparse.ArgumentParser(description=f"Make the committed synthetic {what} sets.")
    parser.add_argument("--check", action="store_true", help="make them in a temporary folder and compare digests")
    check = parser.parse_args().check
    record, versions = DATA / what / "digests.json", tools()
    if not check:
        record.write_text(json.dumps({"tools": versions, "digests": make(DATA)}, indent=2) + "\n")
        sys.exit(0)
    recorded = json.loads(record.read_text())
    if versions != recorded["tools"]:
        print(f"Not comparable: made with {recorded['tools']}, here is {versions}.")
        sys.exit(3)
    with tempfile.TemporaryDirectory() as folder:
        again = make(Path(folder))
    known = recorded["digests"]
    changed = [name for name in sorted({*again, *known}) if not again.get(name) == known.get(name) == _digest(name)]
    print(f"Changed: {', '.join(changed)}. Make them anew and commit." if changed else "The same bytes again.")
    sys.exit(1 if changed else 0)


def _digest(name: str) -> str | None:
    path = DATA / name
    return sha256_folder(path) if path.is_dir() else sha256_file(path) if path.is_file() else None
