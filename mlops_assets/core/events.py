"""What people and products tell a line after a model answered: usage, feedback, corrections, and the predictions.

Source 004's fields, in strict records: what is not there is refused and never guessed, so that an event which was
acknowledged can be read, and learned from, for as long as it is kept.
"""

import os
import secrets
import time
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError, field_validator, model_validator

from mlops_assets.core.clock import utc
from mlops_assets.core.records.base import Record
from mlops_assets.core.rows import parsed

Kind = Literal["usage", "feedback", "correction", "prediction"]
LARGEST_EVENT = 65_536  # bytes of JSON
COLD_ANSWERS = 25  # of a process since it began: its caches are cold, and their times say little of a version
DEEPEST_PAYLOAD = 32  # objects and lists within one another
CLOCK_AHEAD = timedelta(days=1)  # how far a client's clock may be ahead of ours

DRAWN = 512  # ids whose chance is drawn at once: each call to the system lets another thread go first
_CHANCE: deque[str] = deque()
os.register_at_fork(after_in_child=_CHANCE.clear)

EventId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Notes = Annotated[str, Field(max_length=2_000)]


class _Event(Record):
    model_config = ConfigDict(strict=True)

    event_id: EventId | None = Field(
        default=None, description="Idempotency key, one event per line and key; made if the client gives none"
    )
    at: str | None = Field(default=None, description="When it happened by the client's clock: ISO 8601 with an offset")
    user: Name | None = Field(default=None, description="Who used, rated or corrected it, as the caller knows them")

    @field_validator("at")
    @classmethod
    def _time(cls, text: str | None) -> str | None:
        return None if text is None else utc(text)


class Usage(_Event):
    """Something was used: a command of a controller, or an action of an agent (004's `collect_controller_data`)."""

    kind: Literal["usage"] = "usage"
    type: Name | None = Field(default=None, description="Such as 'generation'")
    command: Name | None = Field(default=None, description="Such as 'generate_chords'")
    key: Name | None = Field(default=None, description="Musical key, such as '10B'")
    bars: int | None = Field(default=None, ge=0, le=1_000_000)
    success: bool | None = None
    agent: Name | None = Field(default=None, description="Such as 'ControllerDev'")
    action: Name | None = Field(default=None, description="Such as 'code_analysis'")
    prediction_id: EventId | None = Field(default=None, description="The prediction that was used")

    @model_validator(mode="after")
    def _tells_something(self) -> Self:
        if all(value is None for value in (self.type, self.command, self.agent, self.action, self.prediction_id)):
            raise ValueError("a usage event needs type, command, agent, action or prediction_id")
        return self


class Feedback(_Event):
    """What somebody thought of a result (004's `collect_feedback`)."""

    kind: Literal["feedback"] = "feedback"
    rating: int = Field(ge=1, le=5, description="1 worst, 5 best")
    type: Name | None = Field(default=None, description="What was rated, such as 'chord_progression'")
    notes: Notes | None = None
    prediction_id: EventId | None = Field(default=None, description="The prediction that was rated")


class Correction(_Event):
    """What a prediction should have been: an error case that can be learned from."""

    kind: Literal["correction"] = "correction"
    prediction_id: EventId = Field(description="The prediction that was wrong")
    target: str = Field(min_length=1, max_length=10_000, description="The right label or transcript")
    notes: Notes | None = None


class Prediction(_Event):
    """One answer of a served model; its `event_id` is its prediction id.

    arm: production and canary answered somebody; shadow answered a copy that nobody saw, by the version that is being
    rolled out or the one it replaces; challenger is the other side of an A/B comparison.
    """

    kind: Literal["prediction"] = "prediction"
    version: int | None = Field(
        default=None, ge=1, description="Version of the line that answered; None: the challenger is a language model"
    )
    arm: Literal["production", "canary", "shadow", "challenger"]
    latency_ms: float = Field(ge=0, description="From the complete request to the answer")
    success: bool
    error: Name | None = Field(default=None, description="Code of what went wrong; a wrong input is no prediction")
    label: Name | None = Field(default=None, description="The label it gave, for a family that has labels")
    model: Name | None = Field(default=None, description="Name of the language model that answered as the challenger")
    of: EventId | None = Field(
        default=None, description="For shadow and challenger: the prediction that it doubles; else the one that failed"
    )
    cold: bool | None = Field(default=None, description="Whether it is one of its process's first answers")
    agrees: bool | None = Field(default=None, description="Whether it said the same as the one it doubles")
    cost: float | None = Field(default=None, ge=0, description="US dollars that this answer cost")
    request: EventId | None = Field(default=None, description="For one of several inputs: what those share")
    input: JsonValue = Field(default=None, description="Kept only if the line keeps payloads")
    output: JsonValue = Field(default=None, description="Kept only if the line keeps payloads")

    @model_validator(mode="after")
    def _answered_by_somebody(self) -> Self:
        if self.version is None and self.arm != "challenger":
            raise ValueError("a prediction needs the version that answered")
        return self

    @field_validator("input", "output")
    @classmethod
    def _flat_enough(cls, value: JsonValue) -> JsonValue:
        if _deeper_than(DEEPEST_PAYLOAD, value):
            raise ValueError(f"more than {DEEPEST_PAYLOAD} objects and lists within one another")
        return value


Event = Usage | Feedback | Correction | Prediction
KINDS: dict[Kind, type[Event]] = {
    "usage": Usage,
    "feedback": Feedback,
    "correction": Correction,
    "prediction": Prediction,
}
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


class StoredEvent(Record):
    """An event as it is kept: `sequence` counts a line's events from 1, in the order in which they were committed."""

    line: str
    sequence: int
    received_at: str = Field(description="UTC, ISO 8601, milliseconds")
    event: Annotated[Event, Field(discriminator="kind")]
    sent_by: str | None = Field(default=None, description="Who sent it: the name of a key; None where nobody did")


class Scanned(NamedTuple):
    """An event as it is kept, its fields read and not checked again: for who reads thousands in a second."""

    sequence: int
    event_id: str
    kind: Kind
    received_at: str
    fields: dict[str, Any]


class Receipt(Record):
    """What became of one event that somebody sent.

    stored: it would survive a power cut. duplicate: it was there already, and this is its first answer again. conflict:
    another event has its id, and these are the other's; nothing was stored. off: the line does not collect this kind.
    invalid: `problem` says what is wrong with it.
    """

    status: Literal["stored", "duplicate", "conflict", "off", "invalid"]
    event_id: str | None = None
    sequence: int | None = None
    received_at: str | None = None
    problem: str = ""


class Reported(Record):
    """A correction or a rating, with what is known of the answer that it is about.

    `file` is where the answer's input lies within a batch, for inputs that are files and were kept.
    """

    received_at: str
    event: Annotated[Feedback | Correction, Field(discriminator="kind")]
    prediction: Prediction | None = None
    usage: Usage | None = None
    sent_by: str | None = None
    file: str | None = None

    @property
    def input(self) -> JsonValue:
        """What was asked, None if it is not known."""
        return None if self.prediction is None else self.prediction.input

    @property
    def user(self) -> str | None:
        """Who reported it, else who had asked."""
        return self.event.user or (None if self.prediction is None else self.prediction.user)

    @property
    def unknown(self) -> str:
        """Why it is not known what was asked."""
        return "its prediction is not known" if self.prediction is None else "its input was not kept"


def parse_event(
    data: bytes | str | dict[str, JsonValue], *, kind: Kind | None = None, now: datetime, identify: bool = False
) -> Event:
    """Read one event from JSON that somebody sent; `kind` is what it is, where the document need not say it.

    `identify` gives it an id if it has none.

    It may have been parsed before, strictly, out of a text that was no larger than an event may be.

    Raises ValueError with a sentence for a document that is too large, no JSON object, of another kind, has an unknown
    key, a key twice, NaN, or a value out of range, or says it happened before 2000 or more than a day after `now`.
    """
    document = _document(data) if isinstance(data, bytes | str) else data
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    if kind is not None and document.setdefault("kind", kind) != kind:
        raise ValueError(f"kind: it should be {kind}")
    if identify and document.get("event_id") is None:
        document["event_id"] = new_event_id()
    try:
        event = _EVENT.validate_python(document)
    except ValidationError as error:
        raise ValueError("; ".join(_problem(each) for each in error.errors(include_url=False))) from None
    if event.at is not None and datetime.fromisoformat(event.at) > now + CLOCK_AHEAD:
        raise ValueError(f"at: {event.at} has not come yet")
    return event


def _document(data: bytes | str) -> Any:
    try:
        size = len(data if isinstance(data, bytes) else data.encode())
        if size > LARGEST_EVENT:
            raise ValueError(f"{size} bytes; an event may have {LARGEST_EVENT}")
        return parsed(data.decode() if isinstance(data, bytes) else data)
    except RecursionError:
        raise ValueError("too many objects and lists within one another") from None
    except UnicodeError:
        raise ValueError("not UTF-8") from None


def read_event(body: str) -> Event:
    """Read an event back from its own JSON; ValueError if it is none.

    It was checked when it was stored: a key that is not known here is of a newer release, and left out.
    """
    return _EVENT.validate_json(body, extra="ignore")


def identified(event: Event) -> Event:
    """Return the event with an id: its own, or a new one."""
    return event if event.event_id is not None else event.model_copy(update={"event_id": new_event_id()})


def new_event_id() -> str:
    """Return an id nobody has: 12 hexadecimal digits of the time in ms, which keep an index compact, and 80 bits."""
    while True:
        try:
            return f"{time.time_ns() // 1_000_000:012x}{_CHANCE.pop()}"
        except IndexError:
            drawn = secrets.token_hex(10 * DRAWN)
            _CHANCE.extend(drawn[at : at + 20] for at in range(0, len(drawn), 20))


def _problem(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"] if part not in KINDS)
    said = error["msg"].removeprefix("Value error, ")
    return f"{where}: {said}" if where else said


def _deeper_than(levels: int, value: JsonValue) -> bool:
    """Say whether objects and lists nest deeper than that many levels."""
    layer: list[JsonValue] = [value]
    for _ in range(levels + 1):
        layer = [inner for each in layer for inner in _inside(each)]
        if not layer:
            return False
    return True


def _inside(value: JsonValue) -> Iterable[JsonValue]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
        case _:
            return ()
