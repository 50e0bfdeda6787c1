import pytest

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.records import SqlRecords
from mlops_assets.core.records.data import RawBatch
from mlops_assets.core.records.outcome import Quarantined


def raw(filename: str = "a.zip") -> RawBatch:
    return RawBatch(
        line="speech",
        batch_id="20260309-aaaaaaaaaaaa",
        sha256="a" * 64,
        artifact="a" * 64,
        is_folder=False,
        filename=filename,
        size_bytes=1,
        source="cli",
        contributor="ann",
        received_at="2026-03-09T00:00:00.000+00:00",
    )


KEY = ("speech", "20260309-aaaaaaaaaaaa", "raw_batch")


def test_the_latest_counts_and_history_is_kept(database: Database) -> None:
    records = SqlRecords(database)
    assert records.get(*KEY) is None
    for record in (raw("a.zip"), raw("b.zip"), raw("b.zip")):
        records.put("raw_batch", record)
    assert records.get(*KEY) == raw("b.zip")
    assert records.history(*KEY) == [raw("a.zip"), raw("b.zip")]


def test_forgotten_counts_as_not_made_until_it_is_made_again(database: Database) -> None:
    records = SqlRecords(database)
    records.forget(*KEY)
    records.put("raw_batch", raw())
    records.forget(*KEY)
    records.forget(*KEY)
    assert records.get(*KEY) is None
    assert records.history(*KEY) == [raw()]
    records.put("raw_batch", raw())
    assert records.get(*KEY) == raw()


def test_a_record_of_another_asset_is_a_bug(database: Database) -> None:
    with pytest.raises(TypeError, match=Quarantined.__name__):
        SqlRecords(database).put("quarantine", raw())
