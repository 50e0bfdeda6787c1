"""The batch table: who claims which bytes first."""

import builtins

import sqlalchemy as sa
from sqlalchemy import exc

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.tables import batches
from mlops_assets.core.errors import NotFound, Refused
from mlops_assets.core.ports.intake import Batch, Claim

SHOWN = 5


class SqlBatches:
    """Fills `Batches`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, line: str, sha256: str, *, contributor: str, source: str, filename: str) -> Claim:
        """Register bytes as batch `<YYYYMMDD>-<12 hex of sha256>`, or return the batch that has them.

        Raises Refused if another batch of the day has other bytes with the same twelve digits.
        """
        with self._database.write() as connection:
            found = connection.execute(
                sa.select(batches).where(batches.c.line == line, batches.c.sha256 == sha256)
            ).one_or_none()
            if found is not None:
                return Claim(batch=_batch(found), duplicate=True)
            received_at = self._database.now()
            last = sa.select(sa.func.coalesce(sa.func.max(batches.c.sequence), 0)).where(batches.c.line == line)
            batch = Batch(
                line=line,
                batch_id=f"{received_at[:10].replace('-', '')}-{sha256[:12]}",
                sha256=sha256,
                sequence=connection.execute(last).scalar_one() + 1,
                contributor=contributor,
                source=source,
                filename=filename,
                received_at=received_at,
            )
            try:
                connection.execute(batches.insert().values(**batch.model_dump()))
            except exc.IntegrityError as error:
                raise Refused(
                    f"Batch id {batch.batch_id} of line {line} is taken by other bytes.",
                    "Equal beginnings of two sha256 are no accident: ask the contributor.",
                ) from error
            return Claim(batch=batch, duplicate=False)

    def get(self, line: str, batch_id: str) -> Batch:
        """Return one batch; NotFound names the line's latest ones."""
        with self._database.read() as connection:
            found = connection.execute(
                sa.select(batches).where(batches.c.line == line, batches.c.batch_id == batch_id)
            ).one_or_none()
        if found is not None:
            return _batch(found)
        latest = [batch.batch_id for batch in self.list(line)[-SHOWN:]]
        raise NotFound(
            f"Line {line} has no batch {batch_id}.",
            f"Its latest are {', '.join(latest)}." if latest else "It has none yet: submit one.",
        )

    def list(self, line: str) -> builtins.list[Batch]:
        """Return a line's batches in order of arrival."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(batches).where(batches.c.line == line).order_by(batches.c.sequence))
            return [_batch(row) for row in rows]


def _batch(row: sa.Row) -> Batch:
    return Batch.model_validate(dict(row._mapping))
