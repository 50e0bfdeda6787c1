"""What live traffic leaves behind, and who may send it: events, health, gateways and their callers' keys."""

from collections.abc import Collection, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Protocol

from pydantic import JsonValue

from mlops_assets.core.events import Event, Kind, Receipt, Scanned, StoredEvent
from mlops_assets.core.serving import ApiKey, Beat, HealthSample


class Events(Protocol):
    """Usage, feedback, corrections and predictions of every line; an id is one event of its line.

    An event is acknowledged when it would survive a power cut, and never before.
    """

    def append(
        self, line: str, events: Sequence[Event], *, sent_by: str | None = None, wait_seconds: float = 30
    ) -> tuple[Receipt, ...]:
        """Store events, all or none of them, and return a receipt for each; one without an id is given one.

        `sent_by` is kept with them, whatever they say of users.

        Busy if too much waits to be written for longer than `wait_seconds`; Unavailable if it could not be written.
        """
        ...

    def submit(
        self, line: str, events: Sequence[Event], *, sent_by: str | None = None
    ) -> "Future[tuple[Receipt, ...]]":
        """Do the same without waiting: Busy at once, all else through the future."""
        ...

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
        """Return the next `limit` events after a sequence, in order, received in [since, until).

        The last one's sequence is the cursor of the next call; no event ever appears before a cursor.
        """
        ...

    def scan(self, line: str, *, after: int = 0, since: datetime | None = None, limit: int = 1000) -> list[Scanned]:
        """Return the same without checking what was checked when it was stored, several times as fast."""
        ...

    def find(self, line: str, event_ids: Collection[str]) -> dict[str, StoredEvent]:
        """Return the events that have these ids, by id."""
        ...

    def count(self, line: str, *, after: int = 0) -> dict[Kind, int]:
        """Return how many events of each kind there are after a sequence."""
        ...

    def last(self, line: str) -> int:
        """Return the highest sequence a line has given, 0 for none."""
        ...

    def forget_before(self, line: str, time: datetime) -> int:
        """Delete the events received before a time; return how many. Their ids may be used again."""
        ...


class Watch(Protocol):
    """What watching a line has come to: state between two looks, samples of health, and the gateways that serve."""

    def state(self, line: str) -> tuple[int, JsonValue]:
        """Return the revision and body of a line's watch; (0, None) at first."""
        ...

    def store(self, line: str, expected: int, body: JsonValue) -> int:
        """Replace the body if its revision is still `expected`, else raise Stale; return the new revision."""
        ...

    def record(self, sample: HealthSample) -> None:
        """Keep a sample; the same line, version and time twice are one."""
        ...

    def history(self, line: str, since: datetime) -> list[HealthSample]:
        """Return the samples of a line since a time, oldest first."""
        ...

    def forget_before(self, line: str, time: datetime) -> int:
        """Delete the samples before a time; return how many."""
        ...

    def beat(self, beat: Beat) -> None:
        """Replace what a gateway says of itself."""
        ...

    def gateways(self, since: datetime) -> list[Beat]:
        """Return what every gateway that has said something since a time said last."""
        ...


class Keys(Protocol):
    """The keys of the gateway's callers."""

    def add(self, key: ApiKey) -> None:
        """Store a key; Refused if the name has one that is not revoked."""
        ...

    def list(self) -> list[ApiKey]:
        """Return every key, oldest first, revoked ones too."""
        ...

    def revoke(self, name: str) -> ApiKey:
        """Make a name's key worthless; NotFound lists the names there are."""
        ...
