"""Language models that are asked, and that nothing waits for longer than it was told to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field, JsonValue

from mlops_assets.core import policy
from mlops_assets.core.contrast import Rival
from mlops_assets.core.line import Challenger, Judge
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.decision import Exchange


class Judgement(Record):
    """What a model says of a sample of a batch."""

    model: str
    quality_score: float = Field(ge=0, le=10)
    issues: tuple[str, ...]


class DataJudge(Protocol):
    """A language model that looks at images and texts."""

    def ready(self, settings: Judge) -> None:
        """Set the model up without asking it anything; raises what `judge` would (`mlops doctor`)."""
        ...

    def judge(self, settings: Judge, items: Sequence[Path | str]) -> Judgement:
        """Return its judgement on image files and texts; Unavailable if there is no usable answer in time.

        MissingExtra and ConfigError if it cannot be asked at all.
        """
        ...


class Analyst(Protocol):
    """A language model that is asked about a decision; it never fails a decision, whatever it does."""

    def ask(self, settings: policy.Analyst, purpose: Literal["verdict", "wording"], prompt: str) -> Exchange:
        """Return what was asked and what came back, within `timeout_seconds`.

        Without a key, package, connection, time or usable answer, `reply` is None and `failure` says why. For
        'wording' the answer itself counts, and there is never a reply.
        """
        ...

    def ready(self, settings: policy.Analyst) -> None:
        """Set the model up without asking it anything (`mlops doctor`); Unavailable, MissingExtra, ConfigError."""
        ...


class Challengers(Protocol):
    """Language models that answer beside a line, for comparison; whatever they do, nobody waits for them."""

    def ready(self, settings: Challenger) -> None:
        """Set the model up without asking it anything (`mlops doctor`); Unavailable, MissingExtra, ConfigError."""
        ...

    def answer(self, settings: Challenger, value: JsonValue, labels: Sequence[str]) -> Rival:
        """Return which of `labels` the model gives to an input, within `timeout_seconds`; it never raises."""
        ...
