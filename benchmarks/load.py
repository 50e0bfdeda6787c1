"""Requests to an HTTP server from a process of its own: as many as it takes, or at a fixed rate whatever it takes.

Closed loop: each connection sends its next request when the last one was answered; that gives the server's capacity.
Open loop: requests are due at a fixed rate, and their latency counts from when they were due, whether or not a
connection was free; a closed loop hides that wait, because a server that stands still is asked nothing meanwhile.

Why not a kept tool: wrk and hey have no open loop that counts from the due time, locust and autocannon need more than a
core for 10,000 requests a second, and none of them is a Python package that `make` can install on every machine. An
asyncio protocol on uvloop that reads no more of an answer than its status and length needs a third of one.
"""

import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Self, cast

TICK_SECONDS = 0.001  # an open loop's requests are sent in bunches; the wait for one counts as the server's
WAIT_SECONDS = 10  # for the last answers
ID = "{id}"  # in a body: replaced by another random id each time
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"connection: *close", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """What is sent, over and over."""

    url: str
    body: str
    keys: tuple[str, ...] = ()  # of the callers, who take turns: the gateway limits each
    wanted: str = ""  # that a good answer holds
    marked: str = ""  # that some answers hold, which are counted

    def messages(self) -> list[list[bytes]]:
        """Return the bytes of each caller's request, cut where an id belongs."""
        host, _, path = self.url.removeprefix("http://").partition("/")
        length = len(self.body.encode()) + self.body.count(ID) * (32 - len(ID))
        head = (
            f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
        )
        callers = [f"Authorization: Bearer {key}\r\n" for key in self.keys] or [""]
        return [f"{head}{caller}\r\n{self.body}".encode().split(ID.encode()) for caller in callers]


@dataclass(frozen=True)
class Load:
    """What came of it: requests that were answered in `seconds`, their latency, and what was not as it should be."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: dict[str, int]  # by status or by what happened
    acknowledged: list[str]  # ids of the requests that were answered well, if they had any
    marked: int
    last_marked: float  # by time.monotonic

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class Loader:
    """The process that sends; use as a context."""

    def __enter__(self) -> Self:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.communicate()

    def closed(
        self, request: Request, connections: int, *, seconds: float = 0, requests: int = 0, may_fail: bool = False
    ) -> Load:
        """Send from a number of connections for some seconds, or a number of requests."""
        return self._run(request, may_fail, connections=connections, seconds=seconds, requests=requests)

    def open(self, request: Request, rate: float, *, seconds: float, connections: int = 64) -> Load:
        """Send so many requests a second, over at most so many connections."""
        return self._run(request, False, connections=connections, seconds=seconds, rate=rate)

    @contextmanager
    def meanwhile(
        self, request: Request, *, seconds: float, rate: float = 0, connections: int = 64
    ) -> Iterator[list[Load]]:
        """Send at a rate, or without one as many as it takes, while the block runs; then the list is filled."""
        self._say(request, connections=connections, seconds=seconds, rate=rate)
        found: list[Load] = []
        yield found
        found.append(self._heard())

    def _run(self, request: Request, may_fail: bool, **how: Any) -> Load:
        self._say(request, **how)
        load = self._heard()
        if load.failed and not may_fail:
            raise RuntimeError(f"{request.url}: {load.failed} of {load.requests} requests failed")
        return load

    def _say(self, request: Request, **how: Any) -> None:
        assert self._process.stdin is not None
        print(json.dumps({"request": asdict(request), **how}), file=self._process.stdin, flush=True)

    def _heard(self) -> Load:
        assert self._process.stdout is not None
        return Load(**json.loads(self._process.stdout.readline()))


class _Run:
    """One run in the process that sends."""

    def __init__(self, request: Request, connections: int, seconds: float, requests: int = 0, rate: float = 0) -> None:
        self.messages = itertools.cycle(request.messages())
        self.wanted, self.mark = request.wanted.encode(), request.marked.encode()
        self.marked, self.last_marked = 0, 0.0
        self.took: list[float] = []
        self.failed: Counter[str] = Counter()
        self.acknowledged: list[str] = []
        self.free: deque[_Connection] = deque()
        self.late: deque[float] = deque()  # when requests that wait for a connection were due
        self.under_way = self.sent = 0
        self._host, _, self._port = request.url.removeprefix("http://").partition("/")[0].partition(":")
        self._connections, self._seconds, self._requests, self._rate = connections, seconds, requests, rate
        self._over = asyncio.Event()
        self._ends = float("inf")

    async def result(self) -> Load:
        """Send it all, wait for the answers, and say what came of it."""
        for _ in range(self._connections):
            await self.connect()
        connections = list(self.free)
        start = time.perf_counter()
        self._ends = start + self._seconds if self._seconds else self._ends
        if self._rate:
            await self._on_time(start)
        else:
            for each in connections:
                self.next(each)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._finished(), self._seconds + WAIT_SECONDS if self._seconds else None)
        if unanswered := self.under_way + len(self.late):
            self.failed["no answer"] += unanswered
        seconds = time.perf_counter() - start
        for each in connections:
            each.close()
        took = sorted(self.took) or [0.0]
        p50, p99 = (took[int(share * (len(took) - 1))] * 1000 for share in (0.5, 0.99))
        return Load(
            len(self.took), seconds, p50, p99, dict(self.failed), self.acknowledged, self.marked, self.last_marked
        )

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self), self._host, int(self._port))
        self.free.append(connection)

    async def _on_time(self, start: float) -> None:
        due = 0
        while (now := time.perf_counter()) < self._ends:
            while start + due / self._rate <= now:
                self.late.append(start + due / self._rate)
                due += 1
            while self.late and self.free:
                self.free.popleft().send(self.late.popleft())
            await asyncio.sleep(TICK_SECONDS)

    async def _finished(self) -> None:
        while self.under_way or self.late:
            self._over.clear()
            await self._over.wait()

    def next(self, connection: "_Connection") -> None:
        """Give a connection something to do that was answered, if there is anything."""
        now = time.perf_counter()
        if self._rate:
            if self.late:
                connection.send(self.late.popleft())
            else:
                self.free.append(connection)
        elif now < self._ends and (not self._requests or self.sent < self._requests):
            connection.send(now)
        if not self.under_way:
            self._over.set()


class _Connection(asyncio.Protocol):
    """One connection, with one request under way at most."""

    def __init__(self, run: _Run) -> None:
        self.transport: asyncio.Transport
        self._run = run
        self._due: float | None = None
        self._data = b""
        self._ids: list[str] = []

    def close(self) -> None:
        """End it, whatever is under way."""
        self._due = None
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, due: float) -> None:
        """Send the request that was due then."""
        self._due = due
        self._run.under_way += 1
        self._run.sent += 1
        message = next(self._run.messages)
        if len(message) == 1:
            self.transport.write(message[0])
            return
        self._ids = [os.urandom(16).hex() for _ in message[1:]]
        parts = (part for at, each in enumerate(self._ids) for part in (each.encode(), message[at + 1]))
        self.transport.write(b"".join((message[0], *parts)))

    def data_received(self, data: bytes) -> None:
        self._data += data
        head = self._data.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._data, 0, head)
        whole = len(self._data) >= head + 4 + int(length[1]) if length else self._data.endswith(b"0\r\n\r\n")
        if not whole:
            return
        answer, self._data = self._data, b""
        if not 200 <= int(answer[9:12]) < 300:
            self._answered(answer[9:12].decode())
        elif self._run.wanted not in answer:
            self._answered("another answer")
        else:
            self._run.acknowledged += self._ids
            if self._run.mark and self._run.mark in answer:
                self._run.marked += 1
                self._run.last_marked = time.monotonic()
            self._answered("")
        if _CLOSE.search(answer, 0, head):
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._due is not None:
            self._answered("connection lost", again=False)
        if self in self._run.free:
            self._run.free.remove(self)

    def _answered(self, problem: str, *, again: bool = True) -> None:
        assert self._due is not None
        self._run.took.append(time.perf_counter() - self._due)
        self._due = None
        self._run.under_way -= 1
        if problem:
            self._run.failed[problem] += 1
        self._run.next(self) if again else self._run._over.set()


async def _serve() -> None:
    for line in iter(sys.stdin.readline, ""):
        wanted = json.loads(line)
        run = _Run(Request(**wanted.pop("request")), **wanted)
        print(json.dumps(asdict(await run.result())), flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve())
