"""Predictions over real HTTP: what is answered, what is refused, and a switch that no client notices."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets.core.events import Prediction
from mlops_assets.core.line import Serving
from mlops_assets_tests.serving.gateway_fixture import Gateway, gateway_of
from mlops_assets_tests.serving.versions import SECONDS, answering, platform_with, roll_out, serve

PATH = "/v1/lines/topics/predict"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose line answers every text with 'sport'."""
    platform, line = platform_with(tmp_path_factory.mktemp("served"), serving=Serving(queue=20))
    serve(platform, line, answering(platform, line, "sport"))
    with gateway_of(platform, line) as gateway:
        answered(gateway)
        yield gateway


@pytest.fixture
def client(served: Gateway) -> Iterator[httpx.Client]:
    with served.client("contributor") as made:
        yield made


def answered(gateway: Gateway, **asked: Any) -> dict[str, Any]:
    """Ask until the line's version is loaded."""
    ends = time.monotonic() + SECONDS
    with gateway.client("contributor") as client:
        while True:
            answer = client.post(PATH, json={"input": "a text", **asked})
            if answer.status_code == 200:
                return answer.json()
            assert answer.status_code == 503, answer.text
            assert answer.headers["retry-after"]
            assert time.monotonic() < ends


def test_one_input_and_several_are_answered(client: httpx.Client, served: Gateway) -> None:
    one = client.post(PATH, json={"input": "a text", "user": "ann"}).json()
    assert (one["version"], one["arm"], one["output"]["label"]) == (1, "production", "sport")
    several = client.post(PATH, json={"inputs": ["a", "b", "c"]}).json()["predictions"]
    assert [each["output"]["label"] for each in several] == ["sport"] * 3
    wanted = {one["prediction_id"], *(each["prediction_id"] for each in several)}
    ends = time.monotonic() + SECONDS
    while len(found := served.platform.events.find("topics", wanted)) < len(wanted):
        assert time.monotonic() < ends
    event = found[one["prediction_id"]].event
    assert isinstance(event, Prediction)
    assert (event.user, event.label, event.success) == ("ann", "sport", True)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("", 422, "no JSON"),
        ("[1]", 422, "a JSON object"),
        ("{}", 422, "either `input` or `inputs`"),
        ('{"input":"a","inputs":["a"]}', 422, "either `input` or `inputs`"),
        ('{"input":"a","more":1}', 422, "Unknown key more"),
        ('{"inputs":[]}', 422, "not empty"),
        ('{"inputs":{"a":1}}', 422, "a list"),
        ('{"input":"a","input":"b"}', 422, "a key occurs twice"),
        ('{"input":NaN}', 422, "NaN"),
        ('{"input":1e400}', 422, "beyond a float's range"),
        ('{"input":18446744073709551616}', 422, "64-bit"),
        ('{"input":"a","user":7}', 422, "`user`"),
        ('{"input":"a","user":""}', 422, "`user`"),
        ('{"input":"a","user":"a\\u0000"}', 422, "`user`"),
        ('{"input":' + "[" * 5_000 + "]" * 5_000 + "}", 422, "within one another"),
        ('{"input":""}', 422, "BAS010"),
        ('{"inputs":["a text",7]}', 422, "inputs[1]: "),
        ('{"inputs":[' + ",".join(['"a"'] * 21) + "]}", 413, "takes 20 in one request"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_is_nobodys_error(
    client: httpx.Client, served: Gateway, body: str, status: int, said: str
) -> None:
    answer = client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert said in error["message"]
    assert error["request_id"] == answer.headers["x-request-id"]
    events = served.platform.events.read("topics", kind="prediction", limit=10_000)
    assert all(each.event.success for each in events if isinstance(each.event, Prediction))


def test_other_paths_lines_and_kinds_of_content_are_refused(client: httpx.Client) -> None:
    assert client.get(PATH).status_code == 405
    assert "topics" in client.post("/v1/lines/tropics/predict", json={"input": "a"}).json()["error"]["message"]
    audio = client.post(PATH, content=b"RIFF", headers={"Content-Type": "audio/wav"})
    assert (audio.status_code, audio.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_a_user_is_the_same_in_a_header_and_in_json(client: httpx.Client, served: Gateway) -> None:
    """UTF-8 as browsers' fetch and curl send it, Latin-1 as older clients do."""
    answers = [
        client.post(PATH, json={"input": "a text", "user": "Zoë Ärger"}),
        client.post(PATH, json={"input": "a text"}, headers={b"X-User": "Zoë Ärger".encode()}),
        client.post(PATH, json={"input": "a text"}, headers={b"X-User": "Zoë Ärger".encode("latin-1")}),
    ]
    wanted = {each.json()["prediction_id"] for each in answers}
    ends = time.monotonic() + SECONDS
    while len(found := served.platform.events.find("topics", wanted)) < len(wanted):
        assert time.monotonic() < ends
    assert {each.event.user for each in found.values()} == {"Zoë Ärger"}


def test_json_is_read_as_curl_sends_it(client: httpx.Client) -> None:
    curl = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post(PATH, content='{"input": "music1", "user": "u17"}', headers=curl).status_code == 200


def test_the_document_describes_it(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()["paths"]["/v1/lines/{line}/predict"]["post"]
    assert {"application/json", "audio/*", "image/*"} <= described["requestBody"]["content"].keys()
    assert "PredictionDocument" in str(described["responses"]["200"])


def test_versions_switch_under_load_and_every_request_is_answered(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    one, two = answering(platform, line, "sport"), answering(platform, line, "music")
    serve(platform, line, one)
    seen: list[tuple[float, int, str]] = []  # when it was asked, and what was answered
    ending = threading.Event()

    def call(gateway: Gateway, at: int) -> None:
        with gateway.client("contributor") as client:
            while not ending.is_set():
                asked = time.monotonic()
                answer = client.post(PATH, json={"input": "a text", "user": f"user{at + len(seen)}"})
                seen.append((asked, answer.status_code, answer.json().get("arm", answer.text)))

    def until_lately(arm: str, count: int) -> None:
        ends = time.monotonic() + SECONDS
        while [found for _, _, found in seen[-count:]] != [arm] * count:
            assert time.monotonic() < ends
            time.sleep(0.01)

    with gateway_of(platform, line) as gateway:
        answered(gateway)
        callers = [threading.Thread(target=call, args=(gateway, 1_000 * at)) for at in range(3)]
        for caller in callers:
            caller.start()
        try:
            roll_out(platform, line, two, 0.5)
            until_lately("canary", 1)
            back = time.monotonic()
            serve(platform, line, one, previous=two.version)
            until_lately("production", 60)  # of whom half would still be answered by the canary
            serve(platform, line, two)
            ends = time.monotonic() + SECONDS
            while answered(gateway)["version"] != two.version:
                assert time.monotonic() < ends
        finally:
            ending.set()
            for caller in callers:
                caller.join()
    assert {status for _, status, _ in seen} == {200}
    assert max(asked for asked, _, arm in seen if arm == "canary") - back < 1
