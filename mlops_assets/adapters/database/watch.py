"""What watching a line has come to: its state between two looks, samples of health, and gateways that beat."""

import builtins
import json
from datetime import datetime

import sqlalchemy as sa
from pydantic import JsonValue

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.tables import gateways, health, watches
from mlops_assets.core.clock import utc, utc_text
from mlops_assets.core.digests import canonical_json
from mlops_assets.core.errors import Stale
from mlops_assets.core.serving import Beat, HealthSample


class SqlWatch:
    """Fills `Watch`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def state(self, line: str) -> tuple[int, JsonValue]:
        """Return the revision and body of a line's watch; (0, None) at first."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(watches).where(watches.c.line == line)).one_or_none()
        return (0, None) if row is None else (row.revision, json.loads(row.body))

    def store(self, line: str, expected: int, body: JsonValue) -> int:
        """Replace the body if its revision is still `expected`, else raise Stale; return the new revision."""
        mine = watches.c.line == line
        with self._database.write() as connection:
            current = connection.scalar(sa.select(watches.c.revision).where(mine)) or 0
            if current != expected:
                raise Stale(f"Somebody else watches {line}: revision {current}, read at {expected}.", "Look again.")
            values = {"revision": current + 1, "body": canonical_json(body)}
            change = watches.update().where(mine) if current else watches.insert()
            connection.execute(change.values(values if current else {"line": line, **values}))
        return current + 1

    def record(self, sample: HealthSample) -> None:
        """Keep a sample; the same line, version and time twice are one."""
        key = {"line": sample.line, "version": sample.version, "at": utc(sample.at)}
        with self._database.write() as connection:
            connection.execute(health.delete().where(*(health.c[name] == value for name, value in key.items())))
            connection.execute(health.insert().values(**key, body=sample.canonical_json()))

    def history(self, line: str, since: datetime) -> list[HealthSample]:
        """Return the samples of a line since a time, oldest first."""
        query = sa.select(health.c.body).where(health.c.line == line, health.c.at >= utc_text(since))
        with self._database.read() as connection:
            found = connection.scalars(query.order_by(health.c.at, health.c.version))
            return [HealthSample.parse_peer(body) for body in found]

    def forget_before(self, line: str, time: datetime) -> int:
        """Delete the samples before a time; return how many."""
        with self._database.write() as connection:
            gone = connection.execute(health.delete().where(health.c.line == line, health.c.at < utc_text(time)))
            return gone.rowcount

    def beat(self, beat: Beat) -> None:
        """Replace what a gateway says of itself."""
        with self._database.write() as connection:
            connection.execute(gateways.delete().where(gateways.c.gateway == beat.gateway))
            connection.execute(
                gateways.insert().values(gateway=beat.gateway, at=utc(beat.at), body=beat.canonical_json())
            )

    def gateways(self, since: datetime) -> builtins.list[Beat]:
        """Return what every gateway that has said something since a time said last."""
        query = sa.select(gateways.c.body).where(gateways.c.at >= utc_text(since)).order_by(gateways.c.gateway)
        with self._database.read() as connection:
            return [Beat.parse_peer(body) for body in connection.scalars(query)]
