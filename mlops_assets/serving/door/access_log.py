"""What was asked, by whom, and how it ended: a JSON line each, never a body, a key or a user's id.

Lines are gathered and written by another thread a few times a second: a terminal or a pipe that nobody reads must not
hold up a request. What cannot be written in time is dropped, and counted.
"""

import asyncio
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

MOST_LINES = 100_000
EVERY_SECONDS = 0.25


class AccessLog:
    """Lines on their way to a file, or to stderr."""

    def __init__(self, path: Path | None = None, *, dropped: Callable[[int], None] = lambda count: None) -> None:
        self._path = path
        self._dropped = dropped
        self._lines: list[dict[str, Any]] = []
        self._writer = ThreadPoolExecutor(1, "access-log")

    def write(self, line: dict[str, Any]) -> None:
        """Take a line; `time` is added."""
        if len(self._lines) >= MOST_LINES:
            self._dropped(1)
            return
        self._lines.append({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **line})

    def failure(self, error: BaseException, **line: Any) -> None:
        """Take a line about an error of ours, with its traceback."""
        told = "".join(traceback.format_exception(error)).encode("ascii", "backslashreplace").decode()
        self.write({"level": "error", **line, "error": ascii(error), "traceback": told.splitlines()})

    async def follow(self) -> None:
        """Write what was gathered, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            if self._lines:
                await asyncio.get_running_loop().run_in_executor(self._writer, self.flush)

    def flush(self) -> None:
        """Write what was gathered, now."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            data = b"".join(orjson.dumps(line, default=str) + b"\n" for line in lines)
            if self._path is None:
                _whole(sys.stderr.buffer, data)
            else:
                with self._path.open("ab") as file:
                    _whole(file, data)
        except OSError:  # a full disk, a closed pipe: requests go on, and the count of dropped lines says so
            self._dropped(len(lines))

    def close(self) -> None:
        """Write the last lines and end the thread."""
        self._writer.shutdown()
        self.flush()


def _whole(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()
