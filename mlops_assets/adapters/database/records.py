"""The records of the chain as rows: appended, never changed; the latest of an asset counts."""

import sqlalchemy as sa

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.tables import records
from mlops_assets.core.errors import Corrupt
from mlops_assets.core.records.base import AssetRecord
from mlops_assets.core.records.chain import ASSETS


class SqlRecords:
    """Fills `Records`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, asset: str, record: AssetRecord) -> None:
        """Store a record as the asset's latest; nothing changes if it is already."""
        body = _typed(asset, record).canonical_json()
        with self._database.write() as connection:
            latest = _latest(connection, record.line, record.batch_id, asset)
            if latest is None or latest.digest != record.digest:
                self._append(connection, record.line, record.batch_id, asset, record.digest, body)

    def get(self, line: str, batch_id: str, asset: str) -> AssetRecord | None:
        """Return the latest record of an asset, or None if there is none or it was forgotten; Corrupt if it is none."""
        with self._database.read() as connection:
            latest = _latest(connection, line, batch_id, asset)
        return None if latest is None or latest.body is None else _read(latest)

    def history(self, line: str, batch_id: str, asset: str) -> list[AssetRecord]:
        """Return every record of an asset, oldest first, forgotten ones included."""
        query = _of(line, batch_id, asset).where(records.c.body.is_not(None)).order_by(records.c.id)
        with self._database.read() as connection:
            return [_read(row) for row in connection.execute(query)]

    def forget(self, line: str, batch_id: str, asset: str) -> None:
        """Make an asset count as not made for this batch (its history stays)."""
        with self._database.write() as connection:
            latest = _latest(connection, line, batch_id, asset)
            if latest is not None and latest.body is not None:
                self._append(connection, line, batch_id, asset, None, None)

    def _append(
        self, connection: sa.Connection, line: str, batch_id: str, asset: str, digest: str | None, body: str | None
    ) -> None:
        connection.execute(
            records.insert().values(
                line=line, batch_id=batch_id, asset=asset, digest=digest, body=body, at=self._database.now()
            )
        )


def _typed(asset: str, record: AssetRecord) -> AssetRecord:
    if not isinstance(record, ASSETS[asset]):
        raise TypeError(f"{asset} records are {ASSETS[asset].__name__}, not {type(record).__name__}")
    return record


def _read(row: sa.Row) -> AssetRecord:
    try:
        return ASSETS[row.asset].parse(row.body)
    except ValueError as error:
        raise Corrupt(
            f"The {row.asset} record of batch {row.batch_id} of {row.line} cannot be read: it was changed, or written "
            "by a newer release.",
            "Restore the database from a backup, or use that release.",
        ) from error


def _of(line: str, batch_id: str, asset: str) -> sa.Select:
    return sa.select(records).where(records.c.line == line, records.c.batch_id == batch_id, records.c.asset == asset)


def _latest(connection: sa.Connection, line: str, batch_id: str, asset: str) -> sa.Row | None:
    return connection.execute(_of(line, batch_id, asset).order_by(records.c.id.desc()).limit(1)).one_or_none()
