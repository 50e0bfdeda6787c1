"""A/B over HTTP: a line's language model is asked beside it, and what both said can be compared."""

import json
import time
from pathlib import Path

import pytest

from mlops_assets.core.line import Challenger
from mlops_assets_tests.chat_server import Provider, provider
from mlops_assets_tests.lines import TOPICS
from mlops_assets_tests.serving.gateway_fixture import Gateway, gateway_of, released_platform

__all__ = ["provider"]

pytest.importorskip("langchain_openai", reason="the judge extra is not installed")
SECONDS = 60


def predict(gateway: Gateway, count: int) -> list[dict]:
    with gateway.client("contributor") as client:
        deadline, answers = time.monotonic() + SECONDS, []
        while len(answers) < count:
            asked = client.post(
                f"/v1/lines/{gateway.line.line}/predict", json={"input": f"a text, number {len(answers)}"}
            )
            assert asked.status_code == 200 or (asked.status_code == 503 and time.monotonic() < deadline), asked.text
            answers += [asked.json()] if asked.status_code == 200 else []
    return answers


def compared(gateway: Gateway, pairs: int) -> dict:
    """Ask for the comparison until it knows of so many pairs."""
    deadline = time.monotonic() + SECONDS
    with gateway.client("viewer") as client:
        while True:
            found = client.get(f"/v1/lines/{gateway.line.line}/compare")
            assert found.status_code == 200, found.text
            live = found.json()["live"]
            if live["pairs"] + live["failures"] >= pairs:
                return found.json()
            assert time.monotonic() < deadline, found.text


def test_both_answer_and_the_model_never_delays_the_line(provider: Provider, tmp_path: Path):
    provider.content = json.dumps({"label": TOPICS[1]})
    provider.released.clear()
    challenger = Challenger(
        model="openai:m", base_url=provider.url, share=1, input_price=1e6, output_price=0, own_price=0
    )
    platform, line = released_platform(tmp_path, challenger=challenger)
    with gateway_of(platform, line) as gateway:
        answers = predict(gateway, 5)
        provider.released.set()
        found = compared(gateway, 5)
    live = found["live"]
    assert (live["pairs"], live["failures"], found["challenger"]) == (5, 0, "openai:m")
    differing = sum(each["output"]["label"] != TOPICS[1] for each in answers)
    assert live["disagreement"] == differing / 5
    assert {each["prediction_id"] for each in live["lately"]} <= {each["prediction_id"] for each in answers}
    assert found["break_even"]["request_cost"] == pytest.approx(1.0)
    assert len(provider.asked) == 5


def test_a_model_that_fails_costs_the_line_nothing(provider: Provider, tmp_path: Path):
    provider.status = 500
    platform, line = released_platform(
        tmp_path, challenger=Challenger(model="openai:m", base_url=provider.url, share=1)
    )
    with gateway_of(platform, line) as gateway:
        predict(gateway, 3)
        live = compared(gateway, 3)["live"]
    assert (live["pairs"], live["failures"]) == (0, 3)


def test_a_line_without_a_challenger_says_how_to_name_one(tmp_path: Path):
    platform, line = released_platform(tmp_path)
    with gateway_of(platform, line) as gateway, gateway.client("viewer") as client:
        answer = client.get(f"/v1/lines/{line.line}/compare")
        missing = client.get("/v1/lines/other/compare")
    assert (answer.status_code, missing.status_code) == (404, 404)
    assert "challenger:" in answer.json()["error"]["message"]
