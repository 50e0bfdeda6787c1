"""Harm on purpose: faults injected into a version while it is being rolled out, to see it taken back.

A way back that nobody has tried is none. Faults reach only the users of a canary, and only where `mlops serve --inject`
asks for them; a version that serves everybody is never touched.
"""

import asyncio
import random
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlops_assets.core.errors import UsageError
from mlops_assets.serving.engine.exchange import Reply

FORM = "LINE:VERSION:errors=0.1,delay_ms=300,delayed=0.02"


class Fault(BaseModel):
    """What is done to the answers of one version of a line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    version: int = Field(ge=1)
    errors: float = Field(default=0, ge=0, le=1, description="Share of answers turned into failures")
    delay_ms: float = Field(default=0, ge=0, le=60_000, description="Milliseconds that answers are kept back")
    delayed: float = Field(default=1, ge=0, le=1, description="Share of answers kept back so")

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read `LINE:VERSION:errors=0.1,delay_ms=300,delayed=0.02`; UsageError says what is wrong with it."""
        line, _, rest = text.partition(":")
        version, _, numbers = rest.partition(":")
        pairs = (each.partition("=") for each in numbers.split(",") if each)
        named = {name: value for name, _, value in pairs}
        try:
            return cls.model_validate({"line": line, "version": version, **named})
        except ValidationError as error:
            problems = "; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors(include_url=False))
            raise UsageError(f"'{text}' is no fault to inject: {problems}.", f"Write it as {FORM}.") from None


class Faults:
    """The faults of a gateway."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = {(each.line, each.version): each for each in faults}

    async def injected(self, line: str, version: int, replies: list[Reply]) -> list[Reply]:
        """Return a canary's replies with the harm done to them that was asked for, if any was."""
        fault = self._faults.get((line, version))
        if fault is None:
            return replies
        if fault.delay_ms and random.random() < fault.delayed:
            await asyncio.sleep(fault.delay_ms / 1000)
        return [_failed(each) if each.body and random.random() < fault.errors else each for each in replies]


def _failed(reply: Reply) -> Reply:
    return reply._replace(body=b"", shown="", failure="injected", why="a fault was injected")
