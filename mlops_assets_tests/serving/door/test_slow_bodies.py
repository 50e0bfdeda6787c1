"""Clients that are slow, silent or endless, or do not read: they are ended, and hinder nobody."""

import resource
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from mlops_assets.serving.door.listening import BoundedHttp
from mlops_assets.serving.door.visit import DoorSettings
from mlops_assets_tests.serving.door.test_door import until
from mlops_assets_tests.serving.gateway_fixture import (
    Gateway,
    IdleEngine,
    gateway_of,
    idle_gateway,
    released_platform,
    serving,
)

__all__ = ["idle_gateway"]
SLOW = 500
HURRIED = DoorSettings(stall_seconds=2.0, bytes_per_second=100)


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that waits two seconds for a body, in a process that may have as many connections as `mlops serve`."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    platform, line = released_platform(tmp_path_factory.mktemp("slow"))
    with gateway_of(platform, line, engine=IdleEngine(), settings=HURRIED) as made:
        yield made


def test_slow_bodies_end_with_408_while_others_are_served(hurried: Gateway) -> None:
    waiting = [begin(hurried) for _ in range(SLOW)]
    try:
        with hurried.client("contributor") as client:
            for at, line in enumerate(waiting):
                line.sendall(b"{")  # a byte, and no more
                if at % 25 == 0:
                    assert client.post("/pipeline/collect/feedback?line=topics", json={"rating": 5}).status_code == 200
        answers = [read_all(line) for line in waiting]
    finally:
        for line in waiting:
            line.close()
    assert {answer.split(b" ")[1] for answer in answers} == {b"408"}


def test_a_body_that_trickles_is_ended_though_it_never_stands_still(hurried: Gateway) -> None:
    with begin(hurried) as line:
        line.settimeout(0.05)
        began, answer = time.monotonic(), b""
        while not answer:
            assert time.monotonic() - began < 20
            line.sendall(b" ")
            try:
                answer = line.recv(65_536)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_in_time_is_read_however_it_is_cut(idle_gateway: Gateway) -> None:
    body = b'{"rating": 4, "type": "chord_progression"}'
    with begin(idle_gateway, length=len(body)) as line:
        for at in range(0, len(body), 7):
            line.sendall(body[at : at + 7])
        line.settimeout(10)
        assert line.recv(65_536).startswith(b"HTTP/1.1 200 ")


def begin(gateway: Gateway, *, length: int = 1_000) -> socket.socket:
    """Open a connection and send the headers of a body."""
    line = connected(gateway.url)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.sendall(
        f"POST /pipeline/collect/feedback?line=topics HTTP/1.1\r\nHost: here\r\nContent-Length: {length}\r\n"
        f"Authorization: Bearer {gateway.keys['contributor']}\r\n\r\n".encode()
    )
    return line


def read_all(line: socket.socket) -> bytes:
    found = b""
    try:
        while data := line.recv(65_536):
            found += data
    except ConnectionResetError:
        pass
    return found


def test_headers_may_be_neither_slow_nor_endless() -> None:
    class Hasty(BoundedHttp):
        seconds = 0.3

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await PlainTextResponse("here")(scope, receive, send)

    with serving(app, http=Hasty) as url:
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: here\r\nX-More: "):
            with connected(url) as line:
                line.sendall(sent)
                assert read_all(line) == b""  # ended, unanswered
        for filler in (b"X-Some: more\r\n", b"x" * 4_096):
            with connected(url) as line, pytest.raises(OSError, match=r"reset|Broken pipe"):
                pour(line, filler)
        until(lambda: is_answered(url))  # unless this machine itself is too slow for once


def is_answered(url: str) -> bool:
    with connected(url) as line:
        line.sendall(b"GET /none HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        return read_all(line).startswith(b"HTTP/1.1 200 ")


PART = 2**20
PARTS = 16  # more than the system holds for a client


class Listened(BoundedHttp):
    """Says when a connection is gone."""

    ended: threading.Event

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.ended.set()


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with many bytes, at once or in parts."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    size = b"%d" % (PART * PARTS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", size)]})
    if scope["path"] == "/parts":
        for _ in range(PARTS - 1):
            await send({"type": "http.response.body", "body": bytes(PART), "more_body": True})
        await send({"type": "http.response.body", "body": bytes(PART)})
    else:
        await send({"type": "http.response.body", "body": bytes(PART * PARTS)})


@pytest.mark.parametrize("path", ["/parts", "/whole"])
@pytest.mark.parametrize("after", ["keep-alive", "close"])
def test_who_does_not_read_an_answer_is_ended(path: str, after: str) -> None:
    class Hasty(Listened):
        ended = threading.Event()
        read_seconds, read_rate = 0.2, 1e9

    with serving(large, http=Hasty) as url, asking(url, path, after) as line:
        assert line.recv(1_000).startswith(b"HTTP/1.1 200 ")
        assert Hasty.ended.wait(10)
        assert len(read_all(line)) < PART * PARTS


@pytest.mark.parametrize("path", ["/parts", "/whole"])
def test_who_reads_an_answer_late_gets_all_of_it(path: str) -> None:
    class Patient(Listened):
        ended = threading.Event()
        read_seconds, read_rate = 0.2, 1_000

    with serving(large, http=Patient) as url, asking(url, path, "close") as line:
        first = line.recv(1_000)
        assert not Patient.ended.wait(0.5)
        head, _, body = (first + read_all(line)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(body) == PART * PARTS


def asking(url: str, path: str, after: str) -> socket.socket:
    """Ask for an answer, by a client whose system takes little of it ahead."""
    address = urlsplit(url)
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    line.settimeout(20)
    line.connect((address.hostname, address.port))
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: {after}\r\n\r\n".encode())
    return line


def pour(line: socket.socket, filler: bytes) -> None:
    """Send headers without an end."""
    line.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nX-Long: ")
    for _ in range(2**24 // len(filler)):
        line.sendall(filler)


def connected(url: str) -> socket.socket:
    address = urlsplit(url)
    assert address.hostname is not None
    return socket.create_connection((address.hostname, address.port or 80), timeout=20)
