"""What a caller of the engine gets, and what an engine may ask of others."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import orjson
from pydantic import JsonValue

from mlops_assets.core.line import Line
from mlops_assets.serving.engine.frames import Blob


class Answer(NamedTuple):
    """The answer for one input: `body`, or the client's `problem`, or the code of our `failure` and `why`.

    `body` is the output as JSON; `shown` is its short text. `prediction_id` is None for a problem: a wrong input is no
    prediction. `arm` is that of the version that answered.
    """

    prediction_id: str | None
    version: int
    arm: Literal["production", "canary"]
    latency_ms: float
    body: bytes = b""
    shown: str = ""
    problem: str = ""
    failure: str = ""
    why: str = ""

    @property
    def output(self) -> JsonValue:
        """The output."""
        return orjson.loads(self.body) if self.body else None


@dataclass(frozen=True, slots=True)
class Doubled:
    """What somebody else answered for one input, and how long it took where several were asked at once."""

    body: bytes = b""
    shown: str = ""
    failure: str = ""
    cost: float | None = None
    latency_ms: float | None = None


AskChallenger = Callable[[Line, Sequence[JsonValue | Blob]], Awaitable[Sequence[Doubled]]]
"""Asks a line's language model what it would answer; never raises for the model."""
