"""What the door lets through, over real HTTP: no key, no answer, whatever the route and however the body comes."""

import contextlib
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from mlops_assets.core.digests import sha256_bytes
from mlops_assets.core.serving import ACCESS, AccessRole, ApiKey
from mlops_assets.lifecycle import keys
from mlops_assets.serving.door.routing import RouteTable
from mlops_assets.serving.door.visit import DoorSettings
from mlops_assets_tests.serving.gateway_fixture import Gateway, IdleEngine, gateway_of, idle_gateway, released_platform

__all__ = ["idle_gateway"]

STRANGE = [("GET", "/no/such/path"), ("POST", "/no/such/path"), ("GET", "//"), ("OPTIONS", "/metrics")]
EXPIRED, REVOKED = "mlops_" + "e" * 64, "mlops_" + "f" * 64
Routes = dict[tuple[str, str], AccessRole]


@pytest.fixture(scope="module")
def strangers(idle_gateway: Gateway) -> dict[str, dict[str, str]]:
    """Headers of callers who may do nothing."""
    made = datetime.now(UTC) - timedelta(days=2)
    for name, secret in (("expired", EXPIRED), ("revoked", REVOKED)):
        idle_gateway.platform.keys.add(
            ApiKey(
                name=name,
                role="admin",
                sha256=sha256_bytes(secret.encode()),
                created_at=made.isoformat(),
                expires_at=(made + timedelta(days=1)).isoformat() if name == "expired" else None,
            )
        )
    keys.revoke(idle_gateway.platform, "revoked", actor="tests")
    with idle_gateway.client("viewer") as client:
        until(lambda: client.get("/pipeline/status", headers=bearer(REVOKED)).status_code == 401)
    return {
        "none": {},
        "wrong": bearer("mlops_" + "0" * 64),
        "malformed": {"Authorization": "Basic YWRtaW46YWRtaW4="},
        "expired": bearer(EXPIRED),
        "revoked": bearer(REVOKED),
        "empty": {"Authorization": "Bearer"},
        "cookie": {"Cookie": "mlops_session=YWRtaW4=.9999999999.00"},
    }


def routes(gateway: Gateway) -> list[tuple[str, str]]:
    """Every method and path of the app, HEAD and OPTIONS of each path, and paths that are none."""
    table: RouteTable = gateway.app.routes_by_role
    known = [(method, path.replace("{", "").replace("}", "")) for method, path in table.roles()]
    paths = dict.fromkeys(path for _, path in known)
    assert len(paths) > 20
    return [*known, *((method, path) for path in paths for method in ("HEAD", "OPTIONS")), *STRANGE, ("GET", "/login")]


def test_every_route_of_the_app_is_known_to_the_door(idle_gateway: Gateway) -> None:
    served = {
        (method, getattr(route, "path", ""))
        for route in idle_gateway.app.routes
        for method in getattr(route, "methods", None) or ["GET"]
    }
    assert served == set(idle_gateway.app.routes_by_role.roles())


@pytest.mark.parametrize("who", ["none", "wrong", "malformed", "expired", "revoked", "empty", "cookie"])
def test_every_route_answers_401_without_a_valid_key(
    idle_gateway: Gateway, strangers: dict[str, dict[str, str]], who: str
) -> None:
    with httpx.Client(base_url=idle_gateway.url, headers=strangers[who]) as client:
        answers = {(method, path): client.request(method, path) for method, path in routes(idle_gateway)}
    assert {asked: answer.status_code for asked, answer in answers.items() if answer.status_code != 401} == {}
    for (method, _), answer in answers.items():
        assert answer.headers["www-authenticate"] == "Bearer"
        if method != "HEAD":
            assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "length", ["Content-Length: 6442450944", "Transfer-Encoding: chunked"], ids=["6 GB announced", "chunks"]
)
def test_a_body_that_never_ends_is_not_waited_for_without_a_key(idle_gateway: Gateway, length: str) -> None:
    for method, path in routes(idle_gateway):
        if path != "/login" and method not in ("HEAD", "OPTIONS"):
            with connection(idle_gateway) as line:
                line.sendall(f"{method} {path} HTTP/1.1\r\nHost: here\r\n{length}\r\n\r\n5\r\nhello\r\n".encode())
                assert read_all(line).startswith(b"HTTP/1.1 401 "), path


def test_every_route_serves_those_who_may_and_no_others(idle_gateway: Gateway) -> None:
    """A body that no route can read: whoever may call a route gets any other answer than 401 or 403."""
    for role in ACCESS:
        with idle_gateway.client(role) as client:
            for (method, path), needed in idle_gateway.app.routes_by_role.roles().items():
                target = path.replace("{", "").replace("}", "")
                if (method, path) in (("POST", "/pipeline/start"), ("POST", "/pipeline/stop")):
                    target += "?line=none"
                answer = client.request(method, target, content=b"\xff")
                refused = ACCESS.index(role) < ACCESS.index(needed)
                assert (answer.status_code == 403) == refused, (role, method, path, answer.text)
                assert answer.status_code != 401


def test_roles_are_what_they_are_meant_to_be(idle_gateway: Gateway) -> None:
    table: Routes = idle_gateway.app.routes_by_role.roles()
    meant: Routes = {
        ("POST", "/v1/lines/{line}/predict"): "contributor",
        ("POST", "/v1/lines/{line}/events"): "contributor",
        ("POST", "/pipeline/collect/feedback"): "contributor",
        ("POST", "/pipeline/collect/data"): "contributor",
        ("POST", "/v1/reviews/{decision_id}"): "reviewer",
        ("POST", "/v1/lines/{line}/rollback"): "reviewer",
        ("POST", "/v1/lines/{line}/deploy"): "admin",
        ("POST", "/v1/lines/{line}/promote"): "admin",
        ("POST", "/v1/lines/{line}/advance"): "admin",
        ("POST", "/v1/lines/{line}/retire"): "admin",
        ("POST", "/pipeline/start"): "admin",
        ("POST", "/pipeline/stop"): "admin",
        ("POST", "/pipeline/train"): "admin",
        ("GET", "/metrics"): "viewer",
        ("GET", "/openapi.json"): "viewer",
    }
    assert {key: table.get(key) for key in meant} == meant
    assert all(role != "viewer" for (method, _), role in table.items() if method not in ("GET", "HEAD"))


def test_who_tries_to_change_what_they_may_not_is_in_the_ledger_once(idle_gateway: Gateway) -> None:
    with idle_gateway.client("viewer") as client:
        for _ in range(20):
            assert client.post("/pipeline/train?model_type=topics").status_code == 403
            assert client.post("/v1/lines/topics/rollback").status_code == 403
    found = idle_gateway.platform.ledger.entries(kind="refused_access")
    entries = [(each.line, each.actor, each.body["route"]) for each in found if each.actor == "viewer"]
    assert entries.count(("*", "viewer", "/pipeline/train")) in (1, 2)  # two, if ten minutes turned meanwhile
    assert entries.count(("topics", "viewer", "/v1/lines/{line}/rollback")) in (1, 2)
    with idle_gateway.client("contributor") as client:
        made = {"kind": "prediction", "version": 1, "arm": "canary", "latency_ms": 1.0, "success": False}
        assert client.post("/v1/lines/topics/events", json=made).status_code == 403  # the route's own refusal
    refused = idle_gateway.platform.ledger.entries(kind="refused_access")[-1]
    assert (refused.actor, refused.body["route"]) == ("contributor", "/v1/lines/{line}/events")
    assert idle_gateway.platform.ledger.verify() == []


def test_a_key_counts_at_once_and_a_revoked_one_within_two_seconds_no_longer(idle_gateway: Gateway) -> None:
    secret, _ = keys.issue(idle_gateway.platform, "shortlived", "viewer", days=1, actor="tests")
    with httpx.Client(base_url=idle_gateway.url, headers=bearer(secret)) as client:
        assert client.get("/pipeline/status").status_code == 200  # at once
        keys.revoke(idle_gateway.platform, "shortlived", actor="tests")
        began = time.monotonic()
        until(lambda: client.get("/pipeline/status").status_code == 401)
        assert time.monotonic() - began < 2
    assert secret not in idle_gateway.platform.ledger.entries(kind="key_issued")[-1].canonical_json()


def test_an_announced_body_that_is_too_large_is_refused_at_once(idle_gateway: Gateway) -> None:
    with connection(idle_gateway) as line:
        head = "POST /v1/lines/topics/predict HTTP/1.1\r\nHost: here\r\nContent-Length: 6442450944\r\n"
        line.sendall(f"{head}Authorization: Bearer {idle_gateway.keys['admin']}\r\n\r\n".encode())
        answer = read_all(line)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"10485760 bytes" in answer  # the line's own limit


def test_a_body_in_chunks_is_counted_as_it_comes(idle_gateway: Gateway) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 2**30:
            sent += 65_536
            yield b" " * 65_536

    with idle_gateway.client("admin") as client:
        answer = client.post("/pipeline/collect/feedback", content=endless())
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "too_large"
        assert client.get("/pipeline/status").status_code == 200
    assert sent < 64 * 2**20


def test_a_given_request_id_is_kept_if_it_is_sane(idle_gateway: Gateway) -> None:
    with idle_gateway.client() as client:
        for given, kept in (("order-17", True), ("a b", False), ("x" * 65, False), ("", False)):
            answer = client.get("/no/such/path", headers={"X-Request-ID": given})
            assert (answer.headers["x-request-id"] == given) == kept
            assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]


def test_answers_carry_the_headers_that_protect_a_browser(idle_gateway: Gateway) -> None:
    with idle_gateway.client() as client:
        for path in ("/pipeline/status", "/", "/no/such/path", "/login"):
            headers = client.get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"


def test_websockets_are_not_served(idle_gateway: Gateway) -> None:
    with connection(idle_gateway) as line:
        line.sendall(
            b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert line.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_ten_thousand_requests_of_one_key_leave_room_for_another(tmp_path_factory: pytest.TempPathFactory) -> None:
    platform, line = released_platform(tmp_path_factory.mktemp("rates"))
    limits = DoorSettings(requests_per_second=2, failed_keys_per_minute=5)
    with gateway_of(platform, line, engine=IdleEngine(), settings=limits) as gateway:
        with gateway.client("viewer") as greedy, gateway.client("admin") as other:
            answers = [greedy.get("/openapi.json") for _ in range(100)]
            refused = [each for each in answers if each.status_code == 429]
            assert refused
            assert {each.headers["retry-after"] for each in refused} == {"1"}
            assert other.get("/openapi.json").status_code == 200
        with httpx.Client(base_url=gateway.url, headers=bearer("mlops_" + "0" * 64)) as guessing:
            assert [guessing.get("/metrics").status_code for _ in range(6)] == [401] * 5 + [429]
        with gateway.client("reviewer") as same_address:
            assert same_address.get("/metrics").status_code == 200


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@contextlib.contextmanager
def connection(gateway: Gateway) -> Iterator[socket.socket]:
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 80), timeout=20) as line:
        yield line


def read_all(line: socket.socket) -> bytes:
    """Read until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while data := line.recv(65_536):
            found += data
    return found


def until(condition: object, *, every: float = 0.02, seconds: float = 60) -> None:
    assert callable(condition)
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come to pass"
        time.sleep(every)
