"""The outbox: effects on the outside world that are owed, one row each, until they happened."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import JsonValue

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.tables import outbox
from mlops_assets.core.digests import canonical_json
from mlops_assets.core.records.base import Record

NOTE_CHARACTERS = 500


class Owed(Record):
    """One effect that is still owed."""

    key: str
    kind: str
    payload: dict[str, JsonValue]
    attempts: int
    note: str


class Outbox:
    """Effects by unique key; what happened is not owed again unless somebody asks for it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: str, kind: str, payload: Mapping[str, Any], *, done: bool = False, note: str = "") -> bool:
        """Owe an effect once; return whether the key is new. `done` records one that needs no delivery."""
        with self._database.write() as connection:
            if connection.execute(sa.select(outbox.c.id).where(outbox.c.key == key)).one_or_none() is not None:
                return False
            body = canonical_json(dict(payload))
            values = {"key": key, "kind": kind, "payload": body, "attempts": 0, "done": done, "note": note}
            connection.execute(outbox.insert().values(**values, at=self._database.now()))
            return True

    def again(self, key: str, payload: Mapping[str, Any]) -> None:
        """Owe an effect once more that happened, with this payload; one that is still owed keeps its place."""
        with self._database.write() as connection:
            again = outbox.update().where(outbox.c.key == key)
            connection.execute(again.values(payload=canonical_json(dict(payload)), done=False))

    def payload(self, key: str) -> dict[str, JsonValue] | None:
        """Return what an effect is made of, owed or not; None for one that there never was."""
        with self._database.read() as connection:
            found = connection.execute(sa.select(outbox.c.payload).where(outbox.c.key == key)).scalar_one_or_none()
        return None if found is None else json.loads(found)

    def waiting(self, kind: str) -> list[Owed]:
        """Return what is owed, in the order it was added."""
        query = sa.select(outbox).where(outbox.c.kind == kind, outbox.c.done.is_(False)).order_by(outbox.c.id)
        with self._database.read() as connection:
            return [
                Owed(key=row.key, kind=row.kind, payload=json.loads(row.payload), attempts=row.attempts, note=row.note)
                for row in connection.execute(query)
            ]

    def done(self, key: str, note: str = "") -> None:
        """Record that an effect happened."""
        self._set(key, done=True, note=note)

    def failed(self, key: str, why: str) -> None:
        """Record that an attempt failed; the effect stays owed."""
        self._set(key, done=False, note=why)

    def _set(self, key: str, *, done: bool, note: str) -> None:
        values = {"done": done, "attempts": outbox.c.attempts + 1, "note": note[:NOTE_CHARACTERS]}
        with self._database.write() as connection:
            connection.execute(outbox.update().where(outbox.c.key == key, outbox.c.done.is_(False)).values(**values))
