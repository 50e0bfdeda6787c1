"""Every prediction becomes an event, off the way of its answer: gathered for 50 ms, stored in one transaction.

The watch judges a version by these events alone, so none is lost silently: while the database is away they are kept,
up to a limit, and what is lost beyond it is counted and told.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from pydantic import JsonValue, ValidationError

from mlops_assets.core.errors import Unavailable
from mlops_assets.core.events import Prediction
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.collection.keeping import keep
from mlops_assets.serving.engine.frames import Blob

FLUSH_SECONDS = 0.05
RETRY_SECONDS = 0.5
TOGETHER = 1_000  # events of one transaction
MOST_WAITING = 100_000
MOST_FILES_WAITING = 32  # media files in memory that wait to be kept; of later ones the event alone is
STOP_SECONDS = 10.0
LONGEST_LABEL = 200  # characters
_FIELDS = (
    "event_id", "user", "version", "arm", "latency_ms", "error", "of", "agrees", "cost", "request", "model", "cold",
)  # fmt: skip
log = logging.getLogger(__name__)


class Seen(NamedTuple):
    """A prediction as the engine saw it; see `core.events.Prediction` for its fields."""

    line: Line
    event_id: str
    version: int | None
    arm: str
    latency_ms: float
    error: str | None = None
    user: str | None = None
    shown: str | None = None
    of: str | None = None
    agrees: bool | None = None
    cost: float | None = None
    request: str | None = None
    cold: bool | None = None
    model: str | None = None
    input: JsonValue | Blob = None
    output: JsonValue = None


class Recorder:
    """Stores what was predicted; `lost` counts the events that were given up, `problem` says why none can be stored."""

    def __init__(self, platform: Platform, *, most_waiting: int = MOST_WAITING) -> None:
        self._platform = platform
        self._most_waiting = most_waiting
        self._labelled: dict[str, bool] = {}
        self._waiting: deque[Seen] = deque()
        self._some = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self.lost = 0
        self.problem = ""

    @property
    def waiting(self) -> int:
        """How many events are not stored yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self) -> None:
        """Store what waits, for at most 10 s, and end."""
        self._closing.set()
        self._some.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def add(self, seen: Seen) -> None:
        """Take a prediction; never blocks."""
        if len(self._waiting) >= self._most_waiting:
            self.lost += 1
            return
        if isinstance(seen.input, Blob) and len(self._waiting) >= MOST_FILES_WAITING:
            seen = seen._replace(input=None)
        self._waiting.append(seen)
        if not self._some.is_set():
            self._some.set()

    async def store(self, some: Sequence[Seen], seconds: float) -> None:
        """Store predictions of one line, and return once they would survive a power cut.

        Unavailable if that takes longer, or cannot be done; they are kept like others then, for the watch to see.
        """
        try:
            async with asyncio.timeout(max(seconds, 0)):
                events = await asyncio.to_thread(lambda: [self._event(each) for each in some])
                await asyncio.wrap_future(self._platform.events.submit(some[0].line.line, events))
        except Exception as error:  # whatever it is: what was predicted is not lost for it
            for each in some:
                self.add(each)
            raise Unavailable(
                f"{some[0].line.line} gives no answer that it cannot record.", "Send it again in a second."
            ) from error

    def _run(self) -> None:
        while not (self._closing.is_set() and not self._waiting):
            self._some.wait()
            self._closing.wait(FLUSH_SECONDS)
            self._some.clear()
            while self._waiting:
                some = [self._waiting[at] for at in range(min(len(self._waiting), TOGETHER))]
                if not self._stored(some):
                    if self._closing.is_set():
                        self._give_up()
                    self._closing.wait(RETRY_SECONDS)
                    continue
                for _ in some:
                    self._waiting.popleft()

    def _stored(self, some: Sequence[Seen]) -> bool:
        """Store events; the same ones may be tried again, for an id is one event."""
        try:
            for name, group in groupby(sorted(some, key=_name), _name):
                self._platform.events.append(name, [self._event(each) for each in group])
        except Exception as error:  # whatever it is: the thread must live, and what it holds is tried again
            if not self.problem:
                log.warning("Predictions cannot be recorded for now: %s", error)
            self.problem = f"predictions cannot be recorded: {error}"
            return False
        self.problem = ""
        return True

    def _give_up(self) -> None:
        log.error("The gateway ends, and %d predictions were not recorded: %s", len(self._waiting), self.problem)
        self.lost += len(self._waiting)
        self._waiting.clear()

    def _event(self, seen: Seen) -> Prediction:
        fields = {name: getattr(seen, name) for name in _FIELDS} | {"success": seen.error is None}
        if seen.shown is not None and self._has_labels(seen.line):
            fields["label"] = seen.shown[:LONGEST_LABEL]
        payload = {"input": self._input(seen), "output": seen.output} if seen.line.collection.keep_payloads else {}
        try:
            return Prediction.model_validate(fields | payload)
        except ValidationError as error:  # a payload deeper than an event may be, or a name that is none
            log.warning("A prediction of %s is recorded without payload, user and label: %s", seen.line.line, error)
            return Prediction.model_validate(fields | {"user": None, "label": None})

    def _input(self, seen: Seen) -> JsonValue:
        if not isinstance(seen.input, Blob):
            return seen.input
        try:
            return keep(self._platform, seen.line.line, seen.event_id, seen.input.data, self._platform.clock())
        except OSError as error:
            log.warning("The file of a prediction of %s was not kept: %s", seen.line.line, error)
            return None

    def _has_labels(self, line: Line) -> bool:
        if line.line not in self._labelled:
            family = self._platform.family(line.family)
            self._labelled[line.line] = bool(family.labels(family.Config.model_validate(line.config)))
        return self._labelled[line.line]


def _name(seen: Seen) -> str:
    return seen.line.line
