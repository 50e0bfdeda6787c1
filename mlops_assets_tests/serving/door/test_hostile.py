"""Requests that are made to hurt: refused in the one shape, held in bounded memory, and in nobody else's way."""

import asyncio
import contextlib
import gzip
import json
import threading

import httpx
import pytest

from mlops_assets.serving.door.rates import MOST_NAMES, Rates
from mlops_assets.serving.door.strict import MOST_COMMAS, read_json, strict_json
from mlops_assets.serving.door.visit import LONGEST_TARGET
from mlops_assets_tests.serving.door.test_door import bearer, connection, read_all, until
from mlops_assets_tests.serving.gateway_fixture import Gateway, idle_gateway

__all__ = ["idle_gateway"]
PAGE = {"Accept": "text/html"}


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("POST", "/login", {"content": b"a=1&" * 9 + b"key=x"}, 401),
        ("POST", "/login", {"data": {"key": "x"}, "headers": {"Origin": "http://[::1"}}, 403),
        ("POST", "/login", {"data": {"key": "x", "to": "//[::1"}}, 401),
        ("GET", "//[::1", {"headers": PAGE}, 401),
        ("GET", "/", {"headers": {"Cookie": b"mlops_session=\xff.9.9"}}, 401),
        ("GET", "/", {"headers": {"Authorization": b"Bearer \xff"}}, 401),
    ],
)
def test_what_a_stranger_garbles_is_their_mistake_and_not_ours(
    idle_gateway: Gateway, method: str, path: str, options: dict[str, object], status: int
) -> None:
    with httpx.Client() as stranger:
        answer = stranger.request(method, idle_gateway.url + path, **options)  # pyright: ignore[reportArgumentType]
    assert answer.status_code == status
    assert answer.headers["x-request-id"]
    log = idle_gateway.platform.home / "access.log"
    until(lambda: log.exists() and answer.headers["x-request-id"] in log.read_text())
    assert "traceback" not in log.read_text()


def test_a_target_longer_than_any_of_ours_is_refused(idle_gateway: Gateway) -> None:
    long = "x" * LONGEST_TARGET
    with idle_gateway.client("viewer") as client:
        for target in (f"/v1/lines/{long}/versions", f"/v1/lines?line={long}"):
            answer = client.get(target)
            assert (answer.status_code, answer.json()["error"]["code"]) == (414, "too_long")
            assert httpx.get(idle_gateway.url + target).status_code == 401
        assert client.get("/v1/lines?line=" + "x" * 1_000).status_code == 200


def test_a_compressed_body_is_refused_with_its_reason(idle_gateway: Gateway) -> None:
    event = b'{"rating": 5}'
    with idle_gateway.client("contributor") as client:
        for path in ("/pipeline/collect/feedback?line=topics", "/v1/lines/topics/predict"):
            answer = client.post(path, content=gzip.compress(event), headers={"Content-Encoding": "gzip"})
            assert answer.status_code == 415
            assert "uncompressed" in answer.json()["error"]["message"]
        plainly = {"Content-Encoding": "identity"}
        path = "/pipeline/collect/feedback?line=topics"
        assert client.post(path, content=event, headers=plainly).status_code == 200


def test_a_body_is_no_larger_than_its_route_has_use_for(idle_gateway: Gateway) -> None:
    """A megabyte of unknown keys takes a second to refuse, for which everybody would wait."""
    many = json.dumps({f"k{at}": at for at in range(20_000)})
    few = {f"k{at}": at for at in range(3_000)}
    with idle_gateway.client("admin") as client:
        for path in ("/v1/reviews/any", "/v1/lines/topics/deploy", "/lines/topics/deploy", "/pipeline/train"):
            assert client.post(path, content=many).status_code == 413, path
        answer = client.post("/v1/lines/topics/deploy", json=few)
        assert (answer.status_code, len(answer.text) < 1_000) == (422, True)
        assert "; and 2992 more." in answer.json()["error"]["message"]  # and two that are missing
        answer = client.post("/v1/lines/topics/deploy", data={"version": 1, "reason": "as curl -d sends it"})
        assert "Content-Type: application/json" in answer.json()["error"]["message"]


def test_requests_that_come_before_their_answers_are_all_answered(idle_gateway: Gateway) -> None:
    count = 1_500  # of 400 bytes: more than the server reads at once, several times
    head = b"GET /metrics HTTP/1.1\r\nHost: here\r\nX-More: " + b"x" * 350 + b"\r\n"
    asked = (head + b"\r\n") * (count - 1) + head + b"Connection: close\r\n\r\n"
    with connection(idle_gateway) as line:
        sending = threading.Thread(target=line.sendall, args=[asked])
        sending.start()
        answers = read_all(line)
        sending.join()
    assert answers.count(b"HTTP/1.1 401 ") == count


def test_requests_ahead_of_their_answers_do_not_pile_up(idle_gateway: Gateway) -> None:
    count = 20_000  # of 18 bytes, which become kilobytes of memory
    with connection(idle_gateway) as line:
        with contextlib.suppress(OSError):
            line.sendall(b"GET / HTTP/1.1\r\n\r\n" * count)
        assert read_all(line).count(b"HTTP/1.1 401 ") < count
    with idle_gateway.client("viewer") as client:
        assert client.get("/pipeline/status").status_code == 200


def test_a_large_document_is_read_while_others_are_answered() -> None:
    """The loop turns while a document of as many objects as there may be is read."""
    document = b"[" + b"{}," * MOST_COMMAS + b"{}]"

    async def turns() -> int:
        reading = asyncio.create_task(read_json(document))
        count = 0
        while not reading.done():
            await asyncio.sleep(0)
            count += 1
        assert len(await reading) == MOST_COMMAS + 1
        return count

    assert asyncio.run(turns()) > 10


@pytest.mark.parametrize("value", [b"1", b"[]", b'""'])
def test_more_values_than_are_read_at_once_are_refused(value: bytes) -> None:
    """Ten megabytes of numbers would hold everybody up for a second, of empty lists for three."""
    values = b",".join([value] * (10 * 2**20 // (len(value) + 1)))
    with pytest.raises(ValueError, match="more than 262,144 commas: send so many values in several requests"):
        strict_json(b'{"input": [' + values + b"]}")


def test_wrong_keys_from_ever_new_addresses_are_counted_in_bounded_memory() -> None:
    rates = Rates(requests_per_second=10, failed_keys_per_minute=5)
    assert [rates.fail("known") for _ in range(4)] == [0] * 4
    assert all(rates.fail(f"new {at}") == 0 for at in range(MOST_NAMES - 1))
    assert sum(rates.fail(f"newer {at}") == 0 for at in range(100)) == 5  # those share what one has
    assert rates.fail("known") == 0


def test_an_address_that_a_client_makes_up_does_not_stay_in_memory(idle_gateway: Gateway) -> None:
    """uvicorn believes X-Forwarded-For of this machine, where a proxy may be: whatever it says."""
    with httpx.Client(base_url=idle_gateway.url, headers=bearer("wrong")) as client:
        for header in ("x" * 10_000, "\xff, ,", "[::1", "1.2.3.4:99999"):
            answer = client.get("/metrics", headers={b"X-Forwarded-For": header.encode("latin-1")})
            assert answer.status_code == 401
