"""Find the CSV, JSONL and Parquet files of a batch and read them into tables of text.

A broken row costs itself. A file without the columns, or whose bytes are not what its name says, stops the batch.
"""

from collections.abc import Iterator
from pathlib import Path

from mlops_assets.core.records.data import Finding
from mlops_assets.families.text.config import Config
from mlops_assets.families.text.csv_file import read_csv
from mlops_assets.families.text.findings import finding
from mlops_assets.families.text.jsonl_file import read_jsonl
from mlops_assets.families.text.parquet_file import read_parquet
from mlops_assets.families.text.table import Table

_JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


def read_tables(folder: Path, config: Config) -> Iterator[Table | Finding]:
    """Yield the tables of a batch, and a finding for each row, column or file that is not in them."""
    readers = {".csv": read_csv, ".tsv": read_csv, ".jsonl": read_jsonl, ".parquet": read_parquet}
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = [name for name in names if not any(part in _JUNK or part.startswith("._") for part in name.split("/"))]
    if not any(Path(name).suffix.lower() in readers for name in names):
        yield finding("TXT001", detail=", ".join(names[:5]))
    for name in names:
        reader = readers.get(Path(name).suffix.lower())
        if reader is None or (folder / name).is_symlink():
            yield finding("TXT036", name)
        else:
            yield from reader(folder / name, name, config)
