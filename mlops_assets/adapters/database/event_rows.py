"""Rows of events: how those of one transaction are numbered, recognised and inserted."""

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from mlops_assets.adapters.database.tables import events
from mlops_assets.core.errors import Corrupt
from mlops_assets.core.events import Event, Receipt, read_event

# As text, for every commit runs them: building an expression takes SQLAlchemy longer than SQLite its part.
HEAD = sa.text("SELECT sequence FROM event_heads WHERE line = :line")
MOVE_HEAD = sa.text(
    "INSERT INTO event_heads (line, sequence) VALUES (:line, :sequence) "
    "ON CONFLICT (line) DO UPDATE SET sequence = excluded.sequence"
)
# One statement for all rows: a row at a time, SQLite would hand Python's lock back and forth as often, and wait for it.
INSERT_ON_SQLITE = sa.text(
    "INSERT INTO events (line, sequence, received_at, event_id, kind, body, sent_by) "
    "SELECT :line, :head + 1 + key, :now, json_extract(value, '$[0]'), json_extract(value, '$[1]'), "
    "json_extract(value, '$[2]'), json_extract(value, '$[3]') FROM json_each(:rows)"
)

Row = tuple[str, Event, str]  # id, event, its JSON


class LineRows:
    """One line's rows in a transaction; `known` are those that are there already, by id."""

    def __init__(self, line: str, head: int, known: Mapping[str, Any], now: str) -> None:
        self._line = line
        self._now = now
        self._known = dict(known)
        self._head = head
        self._new: list[_Written] = []

    def take(self, given: Row, sent_by: str | None) -> Receipt:
        """Number a new event, or find the one that has its id."""
        event_id, event, body = given
        found = self._known.get(event_id)
        if found is not None:
            same = found.body == body or event_of(found) == event
            return Receipt(
                status="duplicate" if same else "conflict",
                event_id=event_id,
                sequence=found.sequence,
                received_at=found.received_at,
                problem="" if same else "another event has this id",
            )
        row = _Written(self._line, self._head + len(self._new) + 1, event_id, event.kind, self._now, body, sent_by)
        self._new.append(row)
        self._known[event_id] = row
        return Receipt(status="stored", event_id=event_id, sequence=row.sequence, received_at=self._now)

    def write(self, connection: sa.Connection) -> None:
        """Insert what is new, and where the numbers have come to."""
        if not self._new:
            return
        if connection.dialect.name == "sqlite":
            rows = json.dumps([(row.event_id, row.kind, row.body, row.sent_by) for row in self._new])
            given = {"line": self._line, "head": self._head, "now": self._now, "rows": rows}
            connection.execute(INSERT_ON_SQLITE, given)
        else:
            connection.execute(events.insert(), [row._asdict() for row in self._new])
        connection.execute(MOVE_HEAD, {"line": self._line, "sequence": self._head + len(self._new)})


class _Written(NamedTuple):
    """A row of the transaction that is being written."""

    line: str
    sequence: int
    event_id: str
    kind: str
    received_at: str
    body: str
    sent_by: str | None


def row_of(event: Event) -> Row:
    """Return what is kept of an event that has an id."""
    assert event.event_id is not None
    return event.event_id, event, event.model_dump_json(exclude_none=True)


def known_rows(connection: sa.Connection, line: str, event_ids: Collection[str]) -> dict[str, sa.Row]:
    """Return the rows that have these ids, by id."""
    query = sa.select(events).where(events.c.line == line, events.c.event_id.in_(list(event_ids)))
    return {row.event_id: row for row in connection.execute(query)}


def head_of(connection: sa.Connection, line: str) -> int:
    """Return the highest sequence that a line has given, 0 for none."""
    return connection.execute(HEAD, {"line": line}).scalar() or 0


def event_of(row: Any) -> Event:
    """Read an event back; Corrupt if its row holds none."""
    try:
        return read_event(row.body)
    except ValueError as error:
        raise unreadable(row.line, row.sequence) from error


def unreadable(line: str, sequence: int) -> Corrupt:
    """Return the error for a row that holds no event."""
    return Corrupt(
        f"Event {sequence} of {line} cannot be read: it was changed, or written by a newer release.",
        "Restore the database from a backup, or use that release.",
    )
