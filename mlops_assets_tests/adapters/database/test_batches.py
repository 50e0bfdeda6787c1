from datetime import UTC, datetime

import pytest

from mlops_assets.adapters.database.batches import SqlBatches
from mlops_assets.adapters.database.engine import Database
from mlops_assets.core.digests import sha256_bytes
from mlops_assets.core.errors import NotFound, Refused
from mlops_assets_tests.adapters.processes import race

CLAIM = """
import sys
from mlops_assets.adapters.database.batches import SqlBatches
from mlops_assets.adapters.database.engine import Database
batches = SqlBatches(Database(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(50):
    claim = batches.claim("speech", "ab" * 32, contributor=sys.argv[2], source="inbox", filename="a.zip")
    print(claim.batch.batch_id, claim.duplicate)
"""


def claim(batches: SqlBatches, content: bytes, line: str = "speech", filename: str = "a.zip"):
    return batches.claim(line, sha256_bytes(content), contributor="ann", source="cli", filename=filename)


def test_the_id_is_the_day_and_the_first_digits(database: Database) -> None:
    batches = SqlBatches(Database(database.url, clock=lambda: datetime(2026, 3, 9, 23, 59, tzinfo=UTC)))
    batch = claim(batches, b"one").batch
    assert batch.batch_id == f"20260309-{sha256_bytes(b'one')[:12]}"
    assert batch.received_at == "2026-03-09T23:59:00.000+00:00"


def test_the_same_bytes_are_one_batch_on_any_day_under_any_name(database: Database) -> None:
    first = claim(SqlBatches(database), b"one")
    later = SqlBatches(Database(database.url, clock=lambda: datetime(2031, 1, 1, tzinfo=UTC)))
    again = claim(later, b"one", filename="b.zip")
    assert not first.duplicate
    assert again.duplicate
    assert again.batch == first.batch


def test_lines_do_not_share_batches_and_order_is_arrival_not_time(database: Database) -> None:
    future = SqlBatches(Database(database.url, clock=lambda: datetime(2031, 1, 1, tzinfo=UTC)))
    contents = [claim(future, b"one"), claim(SqlBatches(database), b"two"), claim(future, b"one", line="other")]
    assert not any(one.duplicate for one in contents)
    batches = SqlBatches(database).list("speech")
    assert [batch.sequence for batch in batches] == [1, 2]
    assert batches == [contents[0].batch, contents[1].batch]


def test_an_id_taken_by_other_bytes_is_refused(database: Database) -> None:
    batches = SqlBatches(database)
    batches.claim("speech", "a" * 64, contributor="ann", source="cli", filename="a.zip")
    with pytest.raises(Refused):
        batches.claim("speech", "a" * 12 + "b" * 52, contributor="eve", source="cli", filename="a.zip")
    assert len(batches.list("speech")) == 1


def test_a_missing_batch_names_the_latest(database: Database) -> None:
    batches = SqlBatches(database)
    with pytest.raises(NotFound, match="none yet"):
        batches.get("speech", "x")
    known = claim(batches, b"one").batch
    assert batches.get("speech", known.batch_id) == known
    with pytest.raises(NotFound, match=known.batch_id):
        batches.get("speech", "x")


def test_a_hundred_submissions_from_two_processes_are_one_batch(database: Database) -> None:
    said = "".join(race(CLAIM, [[database.url, "ann"], [database.url, "bob"]])).splitlines()
    assert len(said) == 100
    assert len({line.split()[0] for line in said}) == 1
    assert sum(line.endswith("False") for line in said) == 1
    assert len(SqlBatches(database).list("speech")) == 1
