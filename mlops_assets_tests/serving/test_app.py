"""What the gateway says of itself: documents, metrics, logs, and errors in one shape."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import APIRouter, Request
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core import errors
from mlops_assets.serving.door.access import Caller, requires
from mlops_assets.serving.door.access_log import AccessLog
from mlops_assets.serving.door.answers import status_of
from mlops_assets.serving.door.routing import RouteTable
from mlops_assets.serving.door.strict import DEEPEST, StrictRoute, strict_json
from mlops_assets_tests.serving.door.test_door import until
from mlops_assets_tests.serving.gateway_fixture import Gateway, gateway, idle_gateway

__all__ = ["gateway", "idle_gateway"]


def test_every_route_is_described_with_its_role(idle_gateway: Gateway) -> None:
    with idle_gateway.client("viewer") as client:
        document = client.get("/openapi.json").json()
    roles = {
        (method.upper(), path): operation.get("x-role")
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    machine = {
        (method, path): role
        for (method, path), role in idle_gateway.app.routes_by_role.roles().items()
        if path.startswith(("/v1/", "/pipeline/", "/metrics"))
    }
    assert {key: roles.get(key) for key in machine} == machine
    assert "requestBody" in document["paths"]["/v1/lines/{line}/predict"]["post"]
    assert "requestBody" in document["paths"]["/login"]["post"]
    assert "http://" not in json.dumps(document["paths"])


def test_every_error_is_described_as_it_comes(idle_gateway: Gateway) -> None:
    with idle_gateway.client("admin") as client:
        document = client.get("/openapi.json").json()
        error = client.post("/v1/lines/topics/deploy", json={}).json()
    described = {
        json.dumps(answer["content"])
        for path, operations in document["paths"].items()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status != "200" and path not in ("/login", "/logout")
    }
    (content,) = map(json.loads, described)
    assert content == {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorDocument"}}}
    schemas = document["components"]["schemas"]
    assert schemas["ErrorDocument"]["properties"]["error"] == {"$ref": "#/components/schemas/Problem"}
    assert schemas["Problem"]["properties"].keys() == error["error"].keys()
    named = re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document))
    assert set(named) == schemas.keys()


def test_a_route_without_a_role_cannot_be_served() -> None:
    router = APIRouter()

    @router.get("/open")
    def open_to_all() -> None: ...

    with pytest.raises(TypeError, match="/open names no role"):
        RouteTable(router.routes)


def test_metrics_tell_requests_predictions_queues_and_events(gateway: Gateway) -> None:
    with gateway.client("contributor") as client:
        until(lambda: client.post("/v1/lines/topics/predict", json={"input": "music1"}).status_code == 200, seconds=60)
        assert client.post("/v1/lines/topics/events", json={"kind": "feedback", "rating": 5}).status_code == 200
        assert client.get("/no/such/path/of/anybody").status_code == 404
        text = client.get("/metrics").text
    found = dict(line.rpartition(" ")[::2] for line in text.splitlines() if not line.startswith("#"))
    role = 'role="contributor"'
    assert float(found[f'gateway_requests_total{{method="GET",{role},route="(none)",status="404"}}']) == 1
    answered = f'gateway_requests_total{{method="POST",{role},route="/v1/lines/{{line}}/predict",status="200"}}'
    assert float(found[answered]) == 1
    assert found['gateway_predictions_total{arm="production",line="topics",success="true",version="1"}'] == "1.0"
    assert found['gateway_model_ready{line="topics",version="1"}'] == "1.0"
    assert found['gateway_inputs_waiting{line="topics",version="1"}'] == "0.0"
    assert float(found["gateway_event_lag_seconds_count"]) == 1
    assert found["gateway_events_waiting"] == "0.0"
    assert found["gateway_requests_in_flight"] == "1.0"
    assert "gateway_build_info" in text
    assert "anybody" not in text


def test_the_log_tells_every_request_and_nothing_private(idle_gateway: Gateway) -> None:
    secret = idle_gateway.keys["contributor"]
    body = {"kind": "feedback", "rating": 3, "user": "ann@example.org", "notes": "a private remark"}
    with idle_gateway.client("contributor", headers={"X-Request-ID": "told-1"}) as client:
        assert client.post("/v1/lines/topics/events?user=ann@example.org", json=body).status_code == 200
        assert client.get("/private-path", headers={"Authorization": "Bearer wrong"}).status_code == 401
    log = idle_gateway.platform.home / "access.log"
    until(lambda: log.exists() and log.read_text().count("told-1") == 2)
    lines = [json.loads(line) for line in log.read_text().splitlines() if "told-1" in line]
    assert [line["status"] for line in lines] == [200, 401]
    told = lines[0]
    assert set(told) == {
        "time", "request_id", "caller", "method", "route", "status", "bytes_in", "bytes_out", "ms",
    }  # fmt: skip
    assert (told["caller"], told["route"], told["method"]) == ("contributor", "/v1/lines/{line}/events", "POST")
    assert told["bytes_in"] > 50
    for private in (secret, secret[-20:], "ann@example.org", "private"):
        assert private not in log.read_text()


def test_an_error_of_ours_is_told_by_its_request_id_and_logged_with_its_traceback(idle_gateway: Gateway) -> None:
    broken = idle_gateway.app.app
    router = APIRouter(route_class=StrictRoute)

    @router.get("/broken")
    def fails(request: Request, caller: Annotated[Caller, requires("viewer")]) -> None:
        raise ZeroDivisionError("a secret detail")

    @router.get("/misconfigured")
    def misconfigured(request: Request, caller: Annotated[Caller, requires("viewer")]) -> None:
        raise errors.ConfigError("The YAML is wrong.", "Correct it.")

    with added(broken, router), idle_gateway.client("viewer") as client:
        answer = client.get("/broken")
        assert answer.status_code == 500
        assert "secret detail" not in answer.text
        wrong = client.get("/misconfigured")
        assert (wrong.status_code, wrong.json()["error"]["message"]) == (500, "The YAML is wrong. Correct it.")
    log = idle_gateway.platform.home / "access.log"
    identity = answer.json()["error"]["request_id"]
    until(lambda: log.read_text().count(identity) == 2)
    logged = next(json.loads(line) for line in log.read_text().splitlines() if identity in line)
    assert "a secret detail" in "".join(logged["traceback"])


def test_each_kind_of_error_has_its_status() -> None:
    found = {kind.__name__: status_of(kind("It is so.")) for kind in every(errors.PlatformError)}
    assert found["NotFound"] == (404, "not_found")
    assert found["Forbidden"] == (403, "forbidden")
    assert found["Refused"] == (409, "refused")
    assert found["Stale"] == (409, "stale")
    assert found["Busy"] == (503, "busy")
    assert found["Unavailable"] == (503, "unavailable")
    assert found["UsageError"] == (422, "invalid")
    assert {found[name][0] for name in ("ConfigError", "MissingExtra", "TaskFailed", "Corrupt")} == {500}


def test_a_log_that_nobody_can_write_drops_lines_and_counts_them(tmp_path: Path) -> None:
    dropped: list[int] = []
    log = AccessLog(tmp_path / "no" / "such" / "folder" / "log", dropped=dropped.append)
    log.write({"status": 200})
    log.close()
    assert dropped == [1]


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@given(nested)
def test_json_that_is_right_is_read_as_it_is(value: object) -> None:
    assert strict_json(json.dumps(value).encode()) == value


@given(st.integers(1, 3 * DEEPEST), st.booleans())
def test_json_is_read_to_its_greatest_depth_and_no_deeper(depth: int, objects: bool) -> None:
    document = (b'{"a":' * depth + b"1" + b"}" * depth) if objects else (b"[" * depth + b"]" * depth)
    with pytest.raises(ValueError, match="objects and lists") if depth > DEEPEST else contextlib.nullcontext():
        strict_json(document)


@pytest.mark.parametrize(
    "document", [b"NaN", b'{"a": Infinity}', b'{"a": 1, "a": 1}', b"[1e400]", b"\xff", b'"\\ud800"', b"[" * 200_000]
)
def test_json_that_no_client_should_send_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"The body (is|has)"):
        strict_json(document)


def test_strict_json_reaches_every_route_with_a_body(gateway: Gateway) -> None:
    body = '{"reason": "harm", "reason": "other"}'
    with gateway.client("admin", headers={"Content-Type": "application/json"}) as client:
        for (method, path), _ in gateway.app.routes_by_role.roles().items():
            if method == "POST" and path.startswith("/v1/"):
                answer = client.post(re.sub(r"\{.*?\}", "topics", path), content=body)
                assert answer.status_code == 422, path
                assert "twice" in answer.json()["error"]["message"], path


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("lines/topics/deploy", {"version": "1"}),
        ("lines/topics/deploy", {"version": 1.0}),
        ("lines/topics/rollback", {"version": True}),
        ("lines/topics/retire", {"version": "1"}),
        ("lines/topics/advance", {"revision": "1"}),
        ("lines/topics/promote", {"revision": 1.0}),
        ("reviews/0", {"approve": "yes"}),
        ("reviews/0", {"approve": 1}),
    ],
)
def test_what_json_says_is_not_taken_for_another_type(gateway: Gateway, path: str, body: dict[str, object]) -> None:
    with gateway.client("admin") as client:
        answer = client.post(f"/v1/{path}", json={**body, "reason": "why not"})
    assert answer.status_code == 422, answer.text
    assert f"body.{next(iter(body))}: Input should be a valid" in answer.json()["error"]["message"]


def every(kind: type) -> Iterator[type]:
    for each in kind.__subclasses__():
        yield each
        yield from every(each)


@contextlib.contextmanager
def added(app: object, router: APIRouter) -> Iterator[None]:
    """Serve more routes for a while."""
    routes = app.router.routes  # pyright: ignore[reportAttributeAccessIssue]
    routes[:0] = router.routes
    try:
        yield
    finally:
        del routes[: len(router.routes)]
