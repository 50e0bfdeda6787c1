"""Events over HTTP: what is acknowledged is stored, and each answer says what became of an event."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from mlops_assets.core.line import Collection
from mlops_assets_tests.lines import baseline_line
from mlops_assets_tests.serving.gateway_fixture import Gateway, IdleEngine, gateway_of, idle_gateway, released_platform

__all__ = ["idle_gateway"]
EVENTS = "/v1/lines/topics/events"
FEEDBACK = "/pipeline/collect/feedback?line=topics"


def post(gateway: Gateway, path: str, document: object, **options: object) -> httpx.Response:
    with gateway.client("contributor") as client:
        return client.post(path, content=document if isinstance(document, bytes) else json.dumps(document), **options)  # pyright: ignore


def test_sources_paths_take_its_documents(idle_gateway: Gateway) -> None:
    rated = post(idle_gateway, FEEDBACK, {"rating": 5, "type": "chord_progression", "notes": "Great!"})
    used = post(
        idle_gateway,
        "/pipeline/collect/data?line=topics",
        {"type": "generation", "command": "generate_chords", "success": True},
    )
    for answer, kind in ((rated, "feedback"), (used, "usage")):
        assert (answer.status_code, answer.json()["status"]) == (200, "stored")
        found = idle_gateway.platform.events.find("topics", [answer.json()["event_id"]])
        assert [each.event.kind for each in found.values()] == [kind]


@pytest.mark.parametrize("rating", [6, 0, -1, 5.5, "5", True, None])
def test_a_rating_is_a_whole_number_of_one_to_five(idle_gateway: Gateway, rating: object) -> None:
    answer = post(idle_gateway, FEEDBACK, {"rating": rating})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid"
    assert "rating" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"rating=5",
        b"5",
        b"[]",
        b'{"rating": NaN}',
        b'{"rating": 1e400}',
        b'{"rating": 5, "rating": 1}',
        b'{"rating": 5, "unknown": 1}',
        b'{"rating": 5, "kind": "usage"}',
        b'{"rating": 5, "at": "1970-01-01T00:00:00Z"}',
        b'{"rating": 5, "at": "2100-01-01T00:00:00Z"}',
        b'{"rating": 5, "notes": "\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" + b"[" * 70 + b"]" * 70 + b"]",
    ],
    ids=range(16),
)
def test_what_is_no_event_is_told_so_and_not_stored(idle_gateway: Gateway, document: bytes) -> None:
    before = idle_gateway.platform.events.last("topics")
    answer = post(idle_gateway, FEEDBACK, document)
    assert answer.status_code == 422
    assert set(answer.json()["error"]) == {"code", "message", "request_id"}
    assert idle_gateway.platform.events.last("topics") == before


def test_the_same_event_is_one_and_another_with_its_id_conflicts(idle_gateway: Gateway) -> None:
    event = {"kind": "feedback", "rating": 4, "event_id": "order-17"}
    with ThreadPoolExecutor(8) as many:
        answers = list(many.map(lambda _: post(idle_gateway, EVENTS, event), range(16)))
    assert {each.status_code for each in answers} == {200}
    assert sorted(each.json()["status"] for each in answers) == ["duplicate"] * 15 + ["stored"]
    assert len({each.json()["sequence"] for each in answers}) == 1
    other = post(idle_gateway, EVENTS, {**event, "rating": 1})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")


@pytest.mark.parametrize("form", ["list", "lines"])
def test_each_event_of_a_batch_is_answered_on_its_own(idle_gateway: Gateway, form: str) -> None:
    good = [{"kind": "feedback", "rating": at % 5 + 1, "event_id": f"{form}-{at}"} for at in range(5)]
    quoted = json.dumps({"kind": "feedback", "rating": 5})
    events = [*good, {"kind": "feedback", "rating": 9}, {**good[0], "rating": 5}, quoted, 5]
    if form == "list":
        answer = post(idle_gateway, EVENTS, events)
    else:
        body = "\n".join(map(json.dumps, events)).encode()
        answer = post(idle_gateway, EVENTS, body, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 200
    assert [each["status"] for each in answer.json()["receipts"]] == ["stored"] * 5 + ["invalid", "conflict"] + [
        "invalid"
    ] * 2
    wrong = post(idle_gateway, EVENTS, [{"kind": "feedback", "rating": 9}])
    assert (wrong.status_code, wrong.json()["receipts"][0]["status"]) == (422, "invalid")


def test_only_an_admin_may_report_predictions_of_another_gateway(idle_gateway: Gateway) -> None:
    made = {"kind": "prediction", "version": 1, "arm": "canary", "latency_ms": 9000.0, "success": False}
    assert post(idle_gateway, EVENTS, [made]).status_code == 403
    with idle_gateway.client("admin") as admin:
        assert admin.post(EVENTS, json=made).json()["status"] == "stored"


def test_a_line_that_is_not_there_is_named(idle_gateway: Gateway) -> None:
    assert post(idle_gateway, "/v1/lines/none/events", {}).status_code == 404
    answer = post(idle_gateway, "/pipeline/collect/feedback", {"rating": 5})
    assert answer.status_code == 422
    assert "?line=" in answer.json()["error"]["message"]


def test_what_a_line_does_not_collect_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("off")
    shy = baseline_line(folder, name="shy", collection=Collection(collect_feedback=False))
    rated = baseline_line(folder, name="rated", family="preference", config={})
    platform, line = released_platform(folder, lines=[shy, rated])
    with gateway_of(platform, line, engine=IdleEngine()) as gateway:
        answer = post(gateway, "/pipeline/collect/feedback?line=shy", {"rating": 5})
        assert (answer.status_code, answer.json()["status"]) == (200, "off")
        assert "collect_feedback" in answer.json()["problem"]
        assert platform.events.last("shy") == 0
        assert post(gateway, "/pipeline/collect/feedback", {"rating": 5}).json()["status"] == "stored"
        assert platform.events.last("rated") == 1  # the one line that collects preferences
