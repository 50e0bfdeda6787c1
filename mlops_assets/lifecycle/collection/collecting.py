"""Collecting what products and people report, as far as a line wants it, and forgetting it in time.

`collect` answers every document on its own: one that is wrong, or not wanted, costs the others nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import JsonValue

from mlops_assets.core.digests import sha256_json
from mlops_assets.core.events import Event, Kind, Prediction, Receipt, parse_event
from mlops_assets.core.line import Collection, Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record
from mlops_assets.core.rows import Broken, lines
from mlops_assets.lifecycle.collection import keeping

TOGETHER = 500  # lines of a file that are stored in one transaction


@dataclass(frozen=True)
class Prepared:
    """Documents that were read: the events to store, and for each document its answer or None for the next event."""

    events: tuple[Event, ...]
    known: tuple[Receipt | None, ...]

    def answers(self, receipts: Sequence[Receipt]) -> tuple[Receipt, ...]:
        """Return an answer for each document, in order, given the receipts of the events."""
        waiting = iter(receipts)
        return tuple(each or next(waiting) for each in self.known)


def collect(
    platform: Platform, line: Line, events: Sequence[Event | bytes | str], *, sent_by: str | None = None
) -> tuple[Receipt, ...]:
    """Check and store events, given as such or as JSON, and answer each in order.

    What is answered 'stored' would survive a power cut. Busy and Unavailable as `Events.append` raises them: nothing
    was acknowledged then.
    """
    prepared = prepare(line, events, now=platform.clock())
    stored = platform.events.append(line.line, prepared.events, sent_by=sent_by) if prepared.events else ()
    return prepared.answers(stored)


def prepare(
    line: Line, events: Sequence[Event | bytes | str | dict[str, JsonValue]], *, kind: Kind | None = None, now: datetime
) -> Prepared:
    """Read events and apply the line's switches, without storing: for callers that await `Events.submit`.

    What is read gets its id here: giving it one later would copy the event.
    """
    wanted: list[Event] = []
    known: list[Receipt | None] = []
    for each in events:
        try:
            event = each if isinstance(each, Record) else parse_event(each, kind=kind, now=now, identify=True)
        except ValueError as error:
            known.append(Receipt(status="invalid", problem=str(error)))
            continue
        if problem := _off(event, line.collection):
            known.append(Receipt(status="off", event_id=event.event_id, problem=problem))
            continue
        wanted.append(_private(event, line.collection))
        known.append(None)
    return Prepared(tuple(wanted), tuple(known))


def collect_file(
    platform: Platform,
    line: Line,
    path: Path,
    *,
    kind: Kind | None = None,
    sent_by: str | None = None,
    report: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[str, Receipt]]:
    """Collect a file of JSON lines; yield each line's place ('line 3') and answer. `report` is told of lines done.

    A line without an id gets one from its text and how often that text came before, so that a file that is added again,
    or has grown, adds only what is new.
    """
    seen: dict[str, int] = {}
    part: list[tuple[str, Event | Receipt]] = []
    for where, text in lines(path):
        part.append((where, _read(text, kind, platform.clock(), seen)))
        if len(part) == TOGETHER:
            yield from _store(platform, line, part, sent_by)
            report(len(part))
            part = []
    yield from _store(platform, line, part, sent_by)
    report(len(part))


def retention(platform: Platform, now: datetime) -> int:
    """Forget what each line has kept for its `data_retention_days`, files too; return how many events that were."""
    forgotten = 0
    for line in platform.lines():
        time = now - timedelta(days=line.collection.data_retention_days)
        keeping.forget_before(platform, line.line, time)
        forgotten += platform.events.forget_before(line.line, time)
    return forgotten


def _read(text: str | Broken, kind: Kind | None, now: datetime, seen: dict[str, int]) -> Event | Receipt:
    if isinstance(text, Broken):
        return Receipt(status="invalid", problem=text.detail)
    try:
        event = parse_event(text, kind=kind, now=now)
    except ValueError as error:
        return Receipt(status="invalid", problem=str(error))
    if event.event_id is not None:
        return event
    digest = sha256_json(event.model_dump(mode="json", exclude_none=True))[:32]
    seen[digest] = seen.get(digest, 0) + 1
    return event.model_copy(update={"event_id": f"line-{digest}-{seen[digest]}"})


def _store(
    platform: Platform, line: Line, part: Sequence[tuple[str, Event | Receipt]], sent_by: str | None
) -> Iterator[tuple[str, Receipt]]:
    found = [each for _, each in part if not isinstance(each, Receipt)]
    answers = iter(collect(platform, line, found, sent_by=sent_by))
    yield from ((where, each if isinstance(each, Receipt) else next(answers)) for where, each in part)


def _off(event: Event, collection: Collection) -> str:
    """Return why a line does not want an event; what it predicted itself it always keeps."""
    match event.kind:
        case "usage" if not collection.collect_controller_data:
            return "the line does not collect usage (collection.collect_controller_data)"
        case "feedback" | "correction" if not collection.collect_feedback:
            return "the line does not collect feedback (collection.collect_feedback)"
        case _:
            return ""


def _private(event: Event, collection: Collection) -> Event:
    if not isinstance(event, Prediction) or collection.keep_payloads:
        return event
    return event.model_copy(update={"input": None, "output": None})
