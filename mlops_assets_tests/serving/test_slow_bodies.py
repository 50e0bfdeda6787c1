"""Clients that are slow, silent or endless: they are ended, and hinder nobody."""

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from mlops_assets.serving.visit import DoorSettings
from mlops_assets_tests.serving.gateway_fixture import Gateway, IdleEngine, gateway_of, released_platform

SLOW = 500
HURRIED = DoorSettings(stall_seconds=1.0, bytes_per_second=100)


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that waits a second for a body."""
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
                    began = time.monotonic()
                    assert client.post("/pipeline/collect/feedback?line=topics", json={"rating": 5}).status_code == 200
                    assert time.monotonic() - began < 5
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
            assert time.monotonic() - began < 10
            line.sendall(b" ")
            try:
                answer = line.recv(65_536)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_in_time_is_read_however_it_is_cut(hurried: Gateway) -> None:
    body = b'{"rating": 4, "type": "chord_progression"}'
    with begin(hurried, length=len(body)) as line:
        for at in range(0, len(body), 7):
            line.sendall(body[at : at + 7])
        line.settimeout(10)
        assert line.recv(65_536).startswith(b"HTTP/1.1 200 ")


def begin(gateway: Gateway, *, length: int = 1_000) -> socket.socket:
    """Open a connection and send the headers of a body."""
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    line = socket.create_connection((address.hostname, address.port or 80), timeout=30)
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
