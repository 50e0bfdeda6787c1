"""`/pipeline/health` and `/v1/lines/{line}/rollout`, over HTTP."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.core.line import Release
from mlops_assets.lifecycle.deployment.rollout import deploy
from mlops_assets.lifecycle.monitoring.watching import look
from mlops_assets_tests.lifecycle.released import version
from mlops_assets_tests.lifecycle.traffic import Harm, Traffic
from mlops_assets_tests.serving.gateway_fixture import Gateway, IdleEngine, gateway_of, released_platform


@pytest.fixture
def gateway(tmp_path: Path):
    canary = Release(deployment_strategy="canary", step_requests=100_000)
    platform, line = released_platform(tmp_path, release=canary)
    with gateway_of(platform, line, engine=IdleEngine()) as made:
        yield made


def test_nothing_asked_is_inconclusive(gateway: Gateway) -> None:
    with gateway.client("viewer") as client:
        found = client.get("/pipeline/health").raise_for_status().json()
    assert (found["status"], found["score"], found["versions"][0]["version"]) == ("INCONCLUSIVE", None, 1)


def test_health_has_the_fields_of_004_now_in_summary_and_in_history(gateway: Gateway) -> None:
    traffic = Traffic(gateway.platform, gateway.line, {1: Harm(errors=0.5)})
    traffic.send(200)
    look(gateway.platform, gateway.line, datetime.now(UTC))
    with gateway.client("viewer") as client:
        found = client.get("/pipeline/health", params={"line": "topics"}).raise_for_status().json()
        summary = client.get("/pipeline/health/summary").raise_for_status().json()
        history = client.get("/pipeline/health/history", params={"hours": 24}).raise_for_status().json()
        assert client.get("/pipeline/health/history", params={"hours": 0}).status_code == 422
        assert client.get("/pipeline/health", params={"line": "nobody"}).status_code == 404
    assert found["success_count"] + found["failure_count"] == 200
    assert found["score"] == pytest.approx(0.4 + 0.4 * found["success_count"] / 200 + 0.2)
    assert found["status"] == "DEGRADED"
    assert "requests failed; the limit is 5.0%" in found["issues"][0]
    assert "mlops rollback" in found["recommendations"][0]
    assert 15 < found["metrics"]["avg"] < 30 < found["metrics"]["p95"] < found["metrics"]["p99"]
    assert summary["lines"]["topics"]["samples"] == len(history) == 1
    assert (summary["lines"]["topics"]["requests"], summary["lines"]["topics"]["window_seconds"]) == (200, 300)
    assert history[0]["score"] == found["score"]


def test_a_rollout_can_be_read_while_it_is_judged(gateway: Gateway) -> None:
    platform, line = gateway.platform, gateway.line
    version(platform, line)
    deploy(platform, line, 2, strategy="canary", actor="ann", reason="a try")
    traffic, counted = Traffic(platform, line), 0
    ends = time.monotonic() + 30
    while not counted and time.monotonic() < ends:  # those that came before its first answer count for nobody
        traffic.send(50)
        watched = look(platform, line, datetime.now(UTC)).state.rollout
        counted = watched.steps[0].canary.requests if watched and watched.steps else 0
    with gateway.client("viewer") as client:
        found = client.get("/v1/lines/topics/rollout").raise_for_status().json()
    running = found["rollout"]
    assert (running["version"], running["against"], running["share"]) == (2, 1, 0.1)
    assert running["judged"]["verdict"] == "INCONCLUSIVE"
    assert running["steps"][0]["canary"]["requests"] > 0
    assert {*running["chart"][-1]["log10_e"]} == {*running["limits"]}
