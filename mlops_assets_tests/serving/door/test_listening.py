"""What a client sees of the gateway's HTTP, byte by byte."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mlops_assets_tests.serving.gateway_fixture import serving

SAID = b"all of it"


async def echo(request: Request) -> Response:
    return PlainTextResponse(await request.body() or SAID)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    async def empty(request: Request) -> Response:
        return Response(status_code=204)

    routes = [Route("/", echo, methods=["GET", "POST"]), Route("/empty", empty)]
    with serving(Starlette(routes=routes)) as url:
        parts = urlsplit(url)
        yield str(parts.hostname), int(parts.port or 0)


@pytest.fixture
def line(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=20) as connection:
        yield connection


def test_an_answer_comes_in_one_piece(line: socket.socket) -> None:
    for _ in range(50):
        line.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        assert line.recv(65_536).endswith(b"\r\n\r\n" + SAID)


@pytest.mark.parametrize("asked", [b"HEAD /", b"GET /empty"])
def test_a_head_without_a_body_comes_and_the_connection_goes_on(line: socket.socket, asked: bytes) -> None:
    for _ in range(2):
        line.sendall(asked + b" HTTP/1.1\r\nHost: here\r\n\r\n")
        answer = line.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 20")
        assert answer.endswith(b"\r\n\r\n")


def test_who_waits_to_be_told_to_go_on_is_told_at_once(line: socket.socket) -> None:
    line.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert line.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
    line.sendall(b"HTTP")
    assert line.recv(65_536).endswith(b"\r\n\r\nHTTP")


def test_an_answer_that_looks_like_a_head_comes_whole(line: socket.socket) -> None:
    said = b"HTTP/1.1 200 OK"
    head = b"POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(said)
    line.sendall(head + said)
    assert b"".join(iter(lambda: line.recv(65_536), b"")).endswith(b"\r\n\r\n" + said)
