"""Events under many callers, a kill, a disk without room: what was acknowledged is there, once."""

import json
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.adapters.database import events as adapter
from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.events import SqlEvents
from mlops_assets.adapters.database.tables import events as rows
from mlops_assets.core.errors import Busy, Corrupt, Unavailable
from mlops_assets.core.events import Correction, Event, Feedback, Receipt, Usage
from mlops_assets_tests.adapters.processes import start

UNDER_LOAD = """
import sys, threading
from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.events import SqlEvents
from mlops_assets.core.events import Feedback
events, said = SqlEvents(Database(sys.argv[1])), threading.Lock()

def post(caller):
    for number in range(1_000_000):
        batch = [Feedback(rating=5, event_id=f"{caller}-{number}-{part}") for part in range(1 + caller % 3)]
        receipts = events.append("speech", batch)
        with said:
            print(*(each.event_id for each in receipts), flush=True)

for caller in range(8):
    threading.Thread(target=post, args=(caller,), daemon=True).start()
threading.Event().wait()
"""

WITHOUT_ROOM = """
import json, resource, sys, threading
from pathlib import Path
from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.events import SqlEvents
from mlops_assets.core.errors import Unavailable
from mlops_assets.core.events import Feedback
path = Path(sys.argv[1])
events = SqlEvents(Database(f"sqlite:///{path}"))
acknowledged, refused = [], []

def post(caller, count):
    for number in range(count):
        event = Feedback(rating=1, notes="x" * 2000, event_id=f"{caller}-{number}")
        try:
            acknowledged.append(events.append("speech", [event])[0].event_id)
        except Unavailable as error:
            refused.append([event.event_id, str(error)])

def posts(prefix):
    callers = [threading.Thread(target=post, args=(f"{prefix}{at}", 20)) for at in range(4)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()

post("before", 3)
log = Path(f"{path}-wal").stat().st_size
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (log + 100_000, hard))
posts("full")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
post("after", 3)
print(json.dumps({"acknowledged": acknowledged, "refused": refused}))
"""


def rating(number: int, event_id: str | None = None) -> Feedback:
    return Feedback(rating=number, event_id=event_id)


def stored(database: Database, line: str = "speech") -> list[str]:
    with database.read() as connection:
        query = sa.select(rows.c.event_id).where(rows.c.line == line).order_by(rows.c.sequence)
        return list(connection.execute(query).scalars())


def test_events_are_numbered_per_line_and_read_with_a_cursor(database: Database) -> None:
    events = SqlEvents(database)
    assert (events.last("speech"), events.count("speech"), events.read("speech")) == (0, {}, [])
    first = events.append("speech", [rating(5), Usage(type="generation"), rating(1)])
    assert [(each.status, each.sequence) for each in first] == [("stored", 1), ("stored", 2), ("stored", 3)]
    (other,) = events.append("mango", [Correction(prediction_id="p1", target="ripe")])
    assert other.sequence == 1
    assert [each.event.kind for each in events.read("speech", limit=2)] == ["feedback", "usage"]
    assert [each.sequence for each in events.read("speech", after=2)] == [3]
    assert [each.sequence for each in events.read("speech", kind="feedback")] == [1, 3]
    assert events.count("speech", after=1) == {"usage": 1, "feedback": 1}
    assert (events.last("speech"), events.last("mango")) == (3, 1)
    found = events.find("speech", [str(first[1].event_id), str(other.event_id)])
    assert [each.event for each in found.values()] == [Usage(type="generation", event_id=first[1].event_id)]


def test_a_scan_gives_the_same_events_unchecked(database: Database) -> None:
    events = SqlEvents(database)
    events.append("speech", [rating(1, "one"), Usage(type="play", event_id="two"), rating(3, "three")])
    events.append("other", [rating(5, "elsewhere")])
    read = events.read("speech")
    scanned = events.scan("speech")
    assert [(each.sequence, each.event_id, each.received_at) for each in scanned] == [
        (each.sequence, each.event.event_id, each.received_at) for each in read
    ]
    assert [each.kind for each in scanned] == ["feedback", "usage", "feedback"]
    assert [each.fields for each in scanned] == [each.event.model_dump(exclude_none=True) for each in read]
    assert [each.sequence for each in events.scan("speech", after=1, limit=1)] == [2]
    assert events.scan("speech", since=datetime.now(UTC) + timedelta(hours=1)) == []


def test_an_id_is_one_event_of_its_line(database: Database) -> None:
    events = SqlEvents(database)
    (first,) = events.append("speech", [rating(5, "a")])
    again, twice, other, new = events.append("speech", [rating(5, "a"), rating(5, "b"), rating(4, "a"), rating(5, "b")])
    assert again == first.model_copy(update={"status": "duplicate"})
    assert other == first.model_copy(update={"status": "conflict", "problem": "another event has this id"})
    assert (twice.status, new.status, new.sequence) == ("stored", "duplicate", twice.sequence)
    assert events.append("mango", [rating(4, "a")])[0].status == "stored"
    assert [each.event for each in events.read("speech")] == [rating(5, "a"), rating(5, "b")]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    callers=st.lists(
        st.lists(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 2)), min_size=1, max_size=4), max_size=6),
        min_size=2,
        max_size=6,
    )
)
def test_whatever_many_callers_repeat_is_one_event_with_one_answer(
    database: Database, callers: list[list[list[tuple[int, int]]]]
) -> None:
    line, events = f"line_{uuid.uuid4().hex}", SqlEvents(database)
    begin = threading.Barrier(len(callers))

    def post(batches: list[list[tuple[int, int]]]) -> list[tuple[Event, Receipt]]:
        begin.wait()
        given = [[rating(number, f"id{name}") for name, number in batch] for batch in batches]
        return [pair for batch in given for pair in zip(batch, events.append(line, batch), strict=True)]

    with ThreadPoolExecutor(len(callers)) as pool:
        answered = [pair for pairs in pool.map(post, callers) for pair in pairs]
    kept = {each.event.event_id: each for each in events.read(line)}
    assert sorted(each.sequence for each in kept.values()) == list(range(1, len(kept) + 1))
    assert set(kept) == {event.event_id for event, _ in answered}
    for event, receipt in answered:
        mine = kept[event.event_id]
        assert (receipt.sequence, receipt.received_at) == (mine.sequence, mine.received_at)
        assert (receipt.status == "conflict") == (mine.event != event)
    assert sum(receipt.status == "stored" for _, receipt in answered) == len(kept)


def test_a_kill_under_load_loses_nothing_that_was_acknowledged(database: Database) -> None:
    process = start(UNDER_LOAD, database.url)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline() for _ in range(200)]
    process.send_signal(signal.SIGKILL)
    rest, errors = process.communicate()
    # The last line may have been cut off by the kill; whole ones end with a newline.
    acknowledged += [each for each in rest.splitlines(keepends=True) if each.endswith("\n")]
    ids = [name for each in acknowledged for name in each.split()]
    assert len(ids) > 200, errors
    kept = stored(database)
    assert len(set(kept)) == len(kept)
    assert set(ids) - set(kept) == set()
    assert SqlEvents(database).append("speech", [rating(5, ids[0])])[0].status == "duplicate"


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are Unix")
def test_a_commit_that_fails_acknowledges_nobody(sqlite: Database) -> None:
    child = start(WITHOUT_ROOM, sqlite.url.removeprefix("sqlite:///"))
    out, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    said = json.loads(out)
    assert said["refused"]
    assert all("could not be stored" in reason for _, reason in said["refused"])
    assert {"before-0", "after-0", "after-2"} <= set(said["acknowledged"])
    assert sorted(stored(sqlite)) == sorted(said["acknowledged"])


def test_an_error_of_the_commit_reaches_every_caller_of_its_group(database: Database) -> None:
    events = SqlEvents(database)
    with database.write() as connection:
        connection.execute(sa.text("DROP TABLE event_heads"))
        waiting = [events.submit("speech", [rating(5, f"e{at}")]) for at in range(4)]
    for each in waiting:
        with pytest.raises(Unavailable, match="same ids"):
            each.result(timeout=30)
    assert stored(database) == []


@contextmanager
def held_up(database: Database, events: SqlEvents) -> Iterator[Future[tuple[Receipt, ...]]]:
    """While somebody else writes, one event is about to be written; all that come after it wait."""
    with database.write():
        first = events.submit("speech", [rating(5, "first")])
        while not first.running():
            threading.Event().wait(0.001)
        yield first


def test_more_than_can_be_written_is_refused_and_nothing_of_it_stored(database: Database) -> None:
    events = SqlEvents(database, most_waiting=4 * adapter.ROW_BYTES)
    with held_up(database, events) as first:
        waiting = [events.submit("speech", [rating(5, f"e{at}")]) for at in range(3)]
        with pytest.raises(Busy, match="Nothing was stored"):
            events.submit("speech", [rating(5, "late")])
        with pytest.raises(Busy, match="Nothing was stored"):
            events.append("speech", [rating(5, "late")], wait_seconds=0.01)
    for each in (first, *waiting):
        each.result(timeout=30)
    assert stored(database) == ["first", "e0", "e1", "e2"]


def test_a_caller_that_went_away_costs_the_others_nothing(database: Database) -> None:
    events = SqlEvents(database)
    with held_up(database, events) as first:
        waiting = [events.submit("speech", [rating(5, f"e{at}")]) for at in range(3)]
        assert waiting[1].cancel()
    assert [each.result(timeout=30)[0].status for each in (first, waiting[0], waiting[2])] == ["stored"] * 3
    assert stored(database) == ["first", "e0", "e2"]


def test_what_is_older_than_its_time_is_forgotten_and_its_numbers_are_not_given_again(database_url: str) -> None:
    clock = [datetime(2026, 11, 21, tzinfo=UTC)]
    database = Database(database_url, clock=lambda: clock[0])
    events = SqlEvents(database)
    for _ in range(3):
        events.append("speech", [rating(5) for _ in range(adapter.FORGET_EVENTS // 2 + 1)])
        clock[0] += timedelta(days=1)
    events.append("mango", [rating(1)])
    day = adapter.FORGET_EVENTS // 2 + 1
    assert events.forget_before("speech", datetime(2026, 11, 23, tzinfo=UTC)) == 2 * day
    assert events.count("speech") == {"feedback": day}
    assert events.count("mango") == {"feedback": 1}
    assert events.read("speech", until=datetime(2026, 11, 23, tzinfo=UTC)) == []
    assert len(events.read("speech", since=datetime(2026, 11, 23, tzinfo=UTC), limit=2 * day)) == day
    assert events.forget_before("speech", clock[0]) == day
    assert events.append("speech", [rating(5)])[0].sequence == 3 * day + 1
    database.close()


def test_an_event_that_cannot_be_read_is_named(database: Database) -> None:
    events = SqlEvents(database)
    events.append("speech", [rating(5, "a")])
    with database.write() as connection:
        connection.execute(rows.update().values(body='{"kind":"feedback","rating":9}'))
    with pytest.raises(Corrupt, match="Event 1 of speech"):
        events.read("speech")
