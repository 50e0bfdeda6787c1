"""What is asked of a model and what comes back, as frames carry it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson
from pydantic import JsonValue

from mlops_assets.serving.engine import frames
from mlops_assets.serving.engine.frames import Blob


class Reply(NamedTuple):
    """What came back for one input: an answer, or a problem of the input, or the code of our failure and why."""

    body: bytes = b""
    shown: str = ""
    problem: str = ""
    failure: str = ""
    why: str = ""


@dataclass(slots=True)
class Inputs:
    """Inputs as they go to a worker."""

    letters: bytes
    parts: list[bytes]

    @classmethod
    def of(cls, inputs: Sequence[JsonValue | Blob]) -> "Inputs":
        """Encode inputs; TypeError for what JSON cannot say (an integer of more than 64 bits)."""
        letters, parts = b"", []
        for each in inputs:
            blob = isinstance(each, Blob)
            letters += frames.BYTES if blob else frames.JSON
            parts.append(each.data if isinstance(each, Blob) else orjson.dumps(each))
        return cls(letters, parts)

    def __len__(self) -> int:
        return len(self.parts)

    def chunks(self, size: int) -> "list[Inputs]":
        """Return them in groups of at most `size`."""
        return [Inputs(self.letters[at : at + size], self.parts[at : at + size]) for at in range(0, len(self), size)]

    def chosen(self, places: Sequence[int]) -> "Inputs":
        """Return some of them."""
        return Inputs(bytes(self.letters[at] for at in places), [self.parts[at] for at in places])


@dataclass(slots=True, eq=False)
class Ask:
    """Inputs that wait for replies until `deadline` (perf_counter); `patient` ones for another process, too.

    `began` is when they were last given to a process.
    """

    inputs: Inputs
    deadline: float
    patient: bool
    replies: "asyncio.Future[list[Reply]]"
    attempts: int = 0
    began: float = 0.0

    def fail(self, code: str, why: str) -> None:
        """Answer that there is no answer."""
        if not self.replies.done():
            self.replies.set_result([Reply(failure=code, why=why)] * len(self.inputs))


def replies_of(said: Sequence[bytes], size: int) -> list[Reply]:
    """Read a worker's answer; ValueError if it is not one for `size` inputs."""
    letters = said[0] if said else b""
    if len(letters) != size or len(said) != 1 + 2 * size:
        raise ValueError(f"it gave {len(letters)} answers for {size} inputs")
    replies = []
    for at, letter in enumerate(letters):
        body, text = said[1 + 2 * at], said[2 + 2 * at].decode()
        if letter == frames.ANSWER:
            replies.append(Reply(body, text))
        elif letter == frames.PROBLEM:
            replies.append(Reply(problem=text))
        else:
            replies.append(Reply(failure="model_error", why=text))
    return replies
