"""Events are read the same from every format, and files that are no tables cost nothing else."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.core.digests import sha256_folder
from mlops_assets_tests.families.preference.events import events, write
from mlops_assets_tests.families.preference.prepared import check_folder, codes

GOOD = events(3)  # the first of them is liked
EVENT = GOOD[0]


def test_every_format_gives_the_same_items_in_any_order(tmp_path):
    shuffled = random.Random(1).sample(GOOD, len(GOOD))
    write(tmp_path / "jsonl" / "a.jsonl", shuffled)
    (tmp_path / "csv").mkdir()
    names = list(EVENT)
    lines = [",".join(names), *(",".join(str(row[name]) for name in names) for row in GOOD)]
    (tmp_path / "csv" / "a.csv").write_text("\ufeff" + "\r\n".join(lines))
    (tmp_path / "parquet" / "deep").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(GOOD), tmp_path / "parquet" / "deep" / "a.parquet")
    for name in ("jsonl", "csv", "parquet"):
        checked, _ = check_folder(tmp_path / name, tmp_path / f"{name} data")
        assert codes(checked) == {}
    assert len({sha256_folder(tmp_path / f"{name} data") for name in ("jsonl", "csv", "parquet")}) == 1


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.parquet", b"PAR1 and nothing more", "PRF007"),
        ("a.parquet", b"", "PRF007"),
        ("a.csv", b"rating,rating\n1,2\n", "PRF002"),
        ("a.csv", b"name,colour\nx,red\n", "PRF002"),
        ("a.csv", b"\xff\xfe\x00", "PRF002"),
        ("a.jsonl", b"\xff\xfe\x00\n", "PRF003"),
        ("a.txt", b"rating 5", "PRF001"),
    ],
)
def test_files_that_are_no_tables_are_findings(tmp_path, name, content, code):
    (tmp_path / "batch").mkdir()
    (tmp_path / "batch" / name).write_bytes(content)
    checked, items = check_folder(tmp_path / "batch", tmp_path / "data")
    assert code in codes(checked)
    assert any(found.severity == "quarantine" for found in checked.findings)
    assert items == []


def test_parquet_columns_must_be_plain(tmp_path):
    (tmp_path / "batch").mkdir()
    pq.write_table(pa.table({"rating": [[1], [2]], "user": ["a", "b"]}), tmp_path / "batch" / "a.parquet")
    assert codes(check_folder(tmp_path / "batch", tmp_path / "data")[0])["PRF002"] == 1


def test_parquet_cells_are_held_to_the_length_of_a_line(tmp_path):
    (tmp_path / "batch").mkdir()
    rows = [EVENT | {"notes": "a" * 5_000_000}, *GOOD]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "batch" / "a.parquet")
    checked, _ = check_folder(tmp_path / "batch", tmp_path / "data")
    assert codes(checked) == {"PRF004": 1}
    assert checked.kept == len(GOOD)


def test_links_are_not_followed(tmp_path):
    (tmp_path / "elsewhere.jsonl").write_text(json.dumps(EVENT))
    batch = write(tmp_path / "batch" / "a.jsonl", GOOD[1:])
    (batch / "b.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    assert check_folder(batch, tmp_path / "data")[0].total == len(GOOD) - 1
