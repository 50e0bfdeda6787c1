"""How the gateway listens: HTTP whose headers may be neither slow nor endless, and logs as JSON lines.

uvicorn limits neither the time nor the size of headers; a thousand connections that send none would keep out everybody.
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


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP, which ends a connection whose headers take too long or are too large, or that asks far ahead."""

    seconds = 10.0
    most_bytes = 65_536
    most_ahead = 1_000  # requests that wait for the answers of those before them

    _timer: asyncio.TimerHandle | None = None
    _reading = True  # headers: from the start of a request, or of the connection, to their end
    _began = False  # in what came last
    _size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for a first request, not for ever."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.seconds, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

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
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """Say that the whole body is there: whoever reads it needs no clock."""
        super().on_message_complete()
        self.scope[ARRIVED] = True  # pyright: ignore[reportGeneralTypeIssues]

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
        if not self.transport.is_closing():
            self.transport.abort()


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
