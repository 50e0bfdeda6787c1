"""What gateway and model worker say to one another over their socket: frames of parts, each of known length.

A frame is `size of the rest, number of parts, length of each part` (32-bit little endian), then the parts. A request
has a first part with one letter for each input, and one part for each: `j` JSON, `b` the bytes of a media file. Its
answer has a first part with one letter for each input: `a` answered, `p` a problem of the input, `f` a failure of the
model; and two parts for each: the answer's JSON and its short text, or nothing and a sentence. Before that the gateway
sends one part, a `Servable`; the worker says `ready`, or `failed` and why.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from pydantic import Field

from mlops_assets.core.records.base import Record

LARGEST_FRAME = 1 << 30  # bytes; larger is not a frame but a broken stream
_HEAD = struct.Struct("<II")

JSON, BYTES = b"j", b"b"
ANSWER, PROBLEM, FAILURE = b"apf"
READY, FAILED = b"ready", b"failed"


class Servable(Record):
    """What a worker loads."""

    family: str
    config: dict[str, Any]
    path: str
    folder: str = Field(description="Empty and private: where media files lie while they are looked at")


@dataclass(frozen=True, slots=True)
class Blob:
    """The bytes of a media file, as an input."""

    data: bytes


def packed(parts: Sequence[bytes]) -> bytes:
    """Return a frame."""
    lengths = [len(part) for part in parts]
    head = struct.pack(f"<{len(parts) + 2}I", 4 + 4 * len(parts) + sum(lengths), len(parts), *lengths)
    return b"".join((head, *parts))


class Frames:
    """Frames out of a stream that arrives in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[list[bytes]]:
        """Yield the parts of every frame that is complete now; ValueError for a stream that is broken."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            size, count = _HEAD.unpack_from(self._buffer)
            _sound(size, count)
            if len(self._buffer) < 4 + size:
                return
            frame = bytes(memoryview(self._buffer)[4 : 4 + size])
            del self._buffer[: 4 + size]
            yield _parts(frame, count)


def read(stream: BinaryIO) -> list[bytes] | None:
    """Return the parts of the next frame of a blocking stream, None at its end; ValueError if it is broken."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    size, count = _HEAD.unpack(head)
    _sound(size, count)
    rest = stream.read(size - 4)
    return _parts(head[4:] + rest, count) if len(rest) == size - 4 else None


def _sound(size: int, count: int) -> None:
    if size > LARGEST_FRAME or 4 + 4 * count > size:
        raise ValueError("no frame: the stream is broken")


def _parts(frame: bytes, count: int) -> list[bytes]:
    at = 4 + 4 * count
    parts = []
    for length in struct.unpack_from(f"<{count}I", frame, 4):
        parts.append(frame[at : at + length])
        at += length
    if at != len(frame):
        raise ValueError("no frame: its parts are not as long as it says")
    return parts
