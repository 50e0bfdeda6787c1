"""How the gateway listens: HTTP with limits to headers and to slow readers, and logs as JSON lines.

uvicorn limits neither the time nor the size of headers, nor the time that a client takes to read its answer; a thousand
connections that send none, or read none, would keep out everybody.
"""

import asyncio
import contextlib
import json
import logging
import signal
import threading
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlops_assets.serving.door.visit import ARRIVED


class WholeAnswers(asyncio.Transport):
    """A connection's transport, which sends the head of an answer with the first of its body.

    uvicorn writes them apart; each write is a call to the system, and wakes the client.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._head = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write what is no head, and with it the head that waits."""
        part = bytes(data)
        if part.startswith(b"HTTP/1.1 ") and not part.startswith(b"HTTP/1.1 100 "):
            self.flush()
            self._head = part
        else:
            head, self._head = self._head, b""
            self._transport.write(head + part)

    def flush(self) -> None:
        """Write a head that has no body."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Close, once everything is written."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Say whether it closes, or is closed."""
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the system does not take yet."""
        return self._transport.get_write_buffer_size()


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP, which ends a connection whose client is no good.

    That is one whose headers take too long or are too large, that asks far ahead, or that does not read its answer.
    """

    seconds = 10.0  # that headers may take
    most_bytes = 65_536  # of headers
    read_seconds = 60.0  # that a client may take to read what waits for it
    read_rate = 10_000.0  # bytes a second: what it has longer for, if much waits
    most_ahead = 1_000  # requests that wait for the answers of those before them

    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None  # while something waits for the client to read on
    _reading = True  # headers: from the start of a request, or of the connection, to their end
    _began = False  # in what came last
    _size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for a first request, not for ever."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=1)  # whatever the system does not take at once is told of
        self.transport = self._whole = WholeAnswers(transport)
        self._timer = self.loop.call_later(self.seconds, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Read on, unless these are headers without an end."""
        self._began = False
        super().data_received(data)
        if not self._reading:
            if self._timer is not None:
                self._wait_no_longer()
            return
        self._size += 0 if self._began else len(data)  # what else came was of other requests
        if self._size > self.most_bytes:
            self._end()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.seconds, self._late)

    def on_message_begin(self) -> None:
        """Headers begin."""
        super().on_message_begin()
        self._reading, self._began, self._size = True, True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or one that trails a body in chunks."""
        self._size += len(name) + len(value)
        if self._size > self.most_bytes:
            self._end()
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Headers end."""
        self._reading, self._size = False, 0
        super().on_headers_complete()
        if len(self.pipeline) > self.most_ahead:
            self._end()

    def on_response_complete(self) -> None:
        """Read no more before those that wait were answered; uvicorn reads on at each answer."""
        self._whole.flush()
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """Say that the whole body is there: whoever reads it needs no clock."""
        super().on_message_complete()
        self.scope[ARRIVED] = True  # pyright: ignore[reportGeneralTypeIssues]

    def pause_writing(self) -> None:
        """Wait until the client has read on, but not for ever."""
        super().pause_writing()
        if self._unread is None:
            seconds = self.read_seconds + self.transport.get_write_buffer_size() / self.read_rate
            self._unread = self.loop.call_later(seconds, self._end)

    def resume_writing(self) -> None:
        """The client has read all that waited."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _wait_no_longer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        if self.pipeline:  # it is we who do not read on
            self._timer = self.loop.call_later(self.seconds, self._late)
        else:
            self._end()

    def _end(self) -> None:
        self.transport.abort()  # though it may be closing: that waits for the client to read what is left


class Server(uvicorn.Server):
    """A server that says when it takes requests, and whose caller goes on once it has stopped."""

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop by SIGINT and SIGTERM; unlike uvicorn's own, do not let them end the process afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def configure(
    app: Any,
    *,
    drain_seconds: float = 30,
    certificate: str | None = None,
    key: str | None = None,
    http: type[BoundedHttp] = BoundedHttp,
) -> uvicorn.Config:
    """Return how the app is served: stopping waits `drain_seconds` for requests in flight."""
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,  # as long as what clients and proxies mostly keep a connection: they end it, not we
        timeout_graceful_shutdown=int(drain_seconds),
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )


class JsonLines(logging.Formatter):
    """Log records in the shape of the access log."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_json_lines() -> None:
    """Let every logger of this process write JSON lines to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
