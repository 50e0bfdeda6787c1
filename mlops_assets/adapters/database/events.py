"""Events, committed in groups: one fsync acknowledges all that arrived while the one before it ran.

One thread writes, and only while there is something to write. Callers wait for a future that is filled after the
commit returned, or with its error. As writers of the database are serial, sequences are given in the order of commits.
"""

import threading
from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic_core import from_json
from sqlalchemy import exc

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.event_rows import LineRows, Row, event_of, head_of, known_rows, row_of, unreadable
from mlops_assets.adapters.database.tables import events
from mlops_assets.core.clock import utc_text
from mlops_assets.core.errors import Busy, PlatformError, Unavailable
from mlops_assets.core.events import Event, Kind, Receipt, Scanned, StoredEvent, identified

GROUP_EVENTS = 1_000  # that one transaction writes, unless a single call brings more
GATHER_SECONDS = 0.001  # that a group waits for as many callers as the one before it had
ROW_BYTES = 1_024  # what an event takes in memory besides its JSON
FORGET_EVENTS = 2_000  # that one transaction deletes, so that others wait for milliseconds

SCAN = sa.text(
    "SELECT sequence, event_id, kind, received_at, body FROM events "
    "WHERE line = :line AND sequence > :after AND received_at >= :since ORDER BY sequence LIMIT :most"
)


@dataclass(frozen=True)
class _Post:
    """One caller's events, and who waits for them."""

    line: str
    rows: Sequence[Row]
    sent_by: str | None
    size: int
    receipts: "Future[tuple[Receipt, ...]]"


class SqlEvents:
    """Fills `Events`; `most_waiting` bytes of events may wait to be written before callers are held back."""

    def __init__(self, database: Database, *, most_waiting: int = 32 * 2**20) -> None:
        self._database = database
        self._most_waiting = most_waiting
        self._changed = threading.Condition()
        self._waiting: deque[_Post] = deque()
        self._waiting_bytes = 0
        self._writing = False
        self._expected = 1
        self._writer = ThreadPoolExecutor(1, "events")

    def append(
        self, line: str, events: Sequence[Event], *, sent_by: str | None = None, wait_seconds: float = 30
    ) -> tuple[Receipt, ...]:
        """Store events, all or none, and return a receipt for each after the commit's fsync.

        Busy if too much waits to be written for longer than `wait_seconds`; Unavailable if the commit failed.
        """
        return self._put(line, events, sent_by, wait_seconds).result()

    def submit(
        self, line: str, events: Sequence[Event], *, sent_by: str | None = None
    ) -> "Future[tuple[Receipt, ...]]":
        """Do the same without waiting: Busy at once, all else through the future."""
        return self._put(line, events, sent_by, 0)

    def read(
        self,
        line: str,
        *,
        kind: Kind | None = None,
        after: int = 0,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 1000,
    ) -> list[StoredEvent]:
        """Return the next `limit` events after a sequence, in order, received in [since, until)."""
        query = sa.select(events).where(events.c.line == line, events.c.sequence > after)
        if kind is not None:
            query = query.where(events.c.kind == kind)
        if since is not None:
            query = query.where(events.c.received_at >= utc_text(since))
        if until is not None:
            query = query.where(events.c.received_at < utc_text(until))
        with self._database.read() as connection:
            return [_stored(row) for row in connection.execute(query.order_by(events.c.sequence).limit(limit))]

    def scan(self, line: str, *, after: int = 0, since: datetime | None = None, limit: int = 1000) -> list[Scanned]:
        """Return the next `limit` events after a sequence, received since a time, their fields not checked again."""
        asked = {"line": line, "after": after, "since": "" if since is None else utc_text(since), "most": limit}
        with self._database.read() as connection:
            rows = connection.execute(SCAN, asked).all()
        return [Scanned(at, name, kind, time, _fields(line, at, body)) for at, name, kind, time, body in rows]

    def find(self, line: str, event_ids: Collection[str]) -> dict[str, StoredEvent]:
        """Return the events that have these ids, by id."""
        with self._database.read() as connection:
            return {name: _stored(row) for name, row in known_rows(connection, line, event_ids).items()}

    def count(self, line: str, *, after: int = 0) -> dict[Kind, int]:
        """Return how many events of each kind there are after a sequence."""
        query = sa.select(events.c.kind, sa.func.count()).where(events.c.line == line, events.c.sequence > after)
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(events.c.kind))}

    def last(self, line: str) -> int:
        """Return the highest sequence a line has given, 0 for none."""
        with self._database.read() as connection:
            return head_of(connection, line)

    def forget_before(self, line: str, time: datetime) -> int:
        """Delete the events received before a time, in steps; return how many. Their ids may be used again."""
        old = sa.select(events.c.sequence).where(events.c.line == line, events.c.received_at < utc_text(time))
        forgotten = 0
        while True:
            with self._database.read() as connection:
                if connection.execute(old.limit(1)).first() is None:
                    return forgotten
            with self._database.write() as connection:
                some = connection.execute(old.order_by(events.c.received_at).limit(FORGET_EVENTS)).scalars().all()
                connection.execute(events.delete().where(events.c.line == line, events.c.sequence.in_(some)))
            forgotten += len(some)

    def _put(
        self, line: str, given: Sequence[Event], sent_by: str | None, wait_seconds: float
    ) -> "Future[tuple[Receipt, ...]]":
        rows = [row_of(identified(event)) for event in given]
        post = _Post(line, rows, sent_by, sum(len(body) + ROW_BYTES for _, _, body in rows), Future())
        with self._changed:
            if not self._changed.wait_for(lambda: self._fits(post), wait_seconds):
                raise Busy("More events arrive than can be written.", "Nothing was stored; send them again later.")
            self._waiting.append(post)
            self._waiting_bytes += post.size
            if len(self._waiting) == self._expected:
                self._changed.notify_all()
            if not self._writing:
                self._writer.submit(self._write)
                self._writing = True
        return post.receipts

    def _fits(self, post: _Post) -> bool:
        return not self._waiting or self._waiting_bytes + post.size <= self._most_waiting

    def _write(self) -> None:
        """Write groups until nothing waits."""
        while group := self._next_group():
            group = [post for post in group if post.receipts.set_running_or_notify_cancel()]
            try:
                answers = self._commit(group)
            except Exception as error:
                for post in group:
                    post.receipts.set_exception(_not_stored(error))
            else:
                for post, receipts in zip(group, answers, strict=True):
                    post.receipts.set_result(receipts)

    def _next_group(self) -> list[_Post]:
        group: list[_Post] = []
        count = 0
        with self._changed:
            # Those who were answered together mostly come back together: half a group would cost a whole fsync.
            if self._expected > 1:
                self._changed.wait_for(lambda: len(self._waiting) >= self._expected, GATHER_SECONDS)
            while self._waiting and (not group or count + len(self._waiting[0].rows) <= GROUP_EVENTS):
                group.append(self._waiting.popleft())
                count += len(group[-1].rows)
            self._waiting_bytes -= sum(post.size for post in group)
            self._writing = bool(group)
            self._expected = max(len(group), 1)
            self._changed.notify_all()
        return group

    def _commit(self, posts: Sequence[_Post]) -> list[tuple[Receipt, ...]]:
        """Write the events of several callers in one transaction; it is durable when this returns.

        Ids are looked up only if one of them turns out to be there: hardly any is sent twice.
        """
        try:
            return self._transaction(posts, look_up=False)
        except exc.IntegrityError:
            return self._transaction(posts, look_up=True)

    def _transaction(self, posts: Sequence[_Post], *, look_up: bool) -> list[tuple[Receipt, ...]]:
        with self._database.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL synchronous_commit = on")
            return _insert(connection, posts, self._database.now(), look_up=look_up)


def _insert(connection: sa.Connection, posts: Sequence[_Post], now: str, *, look_up: bool) -> list[tuple[Receipt, ...]]:
    lines: dict[str, LineRows] = {}
    for line in dict.fromkeys(post.line for post in posts):
        known = {}
        if look_up:
            ids = [event_id for post in posts if post.line == line for event_id, _, _ in post.rows]
            known = known_rows(connection, line, ids)
        lines[line] = LineRows(line, head_of(connection, line), known, now)
    answers = [tuple(lines[post.line].take(row, post.sent_by) for row in post.rows) for post in posts]
    for line in lines.values():
        line.write(connection)
    return answers


def _stored(row: Any) -> StoredEvent:
    return StoredEvent(
        line=row.line, sequence=row.sequence, received_at=row.received_at, event=event_of(row), sent_by=row.sent_by
    )


def _fields(line: str, sequence: int, body: str) -> dict[str, Any]:
    try:
        return from_json(body)
    except ValueError as error:
        raise unreadable(line, sequence) from error


def _not_stored(error: Exception) -> Exception:
    if not isinstance(error, (exc.SQLAlchemyError, PlatformError)):
        return error
    why = error.what if isinstance(error, PlatformError) else f"{str(error).partition(chr(10))[0]}."
    return Unavailable(
        f"Events could not be stored. {why}",
        "None was acknowledged. Free some disk, or see to the database; then send them again with the same ids.",
    )
