"""The loop by HTTP: predictions, corrections, a training, a decision; and who may start and stop it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from mlops_assets.core.line import Collection, Triggers
from mlops_assets.core.policy import Policy
from mlops_assets.lifecycle.intake.ingest import raw_batch
from mlops_assets.lifecycle.launching import claim
from mlops_assets_tests.lifecycle.chain import run
from mlops_assets_tests.lifecycle.used import eager, use
from mlops_assets_tests.lines import baseline_line, texts
from mlops_assets_tests.serving.gateway_fixture import Gateway, IdleEngine, gateway_of, released_platform
from mlops_assets_tests.serving.switchboard import Switchboard

ITEMS = 210


@pytest.fixture
def board() -> Switchboard:
    return Switchboard("topics", "silent")


@pytest.fixture
def gateway(tmp_path: Path, board: Switchboard) -> Iterator[Gateway]:
    """An idle gateway before two lines of the baseline family, and an orchestrator."""
    silent = baseline_line(tmp_path, name="silent")
    platform, line = released_platform(
        tmp_path,
        lines=[silent],
        collection=Collection(keep_payloads=True),
        triggers=Triggers(trigger_on_error_rate=False),
    )
    with gateway_of(replace(platform, orchestrator=board), line, engine=IdleEngine()) as made:
        yield made


def test_start_and_stop_turn_the_sensors_and_the_ledger_knows_who(gateway: Gateway, board: Switchboard) -> None:
    with gateway.client("admin") as client:
        stopped = client.post("/pipeline/stop", params={"line": "topics"})
        assert stopped.status_code == 200
        assert {each["running"] for each in stopped.json()["lines"]["topics"]} == {False}
        assert board.running == {"topics": False, "silent": True}
        assert client.post("/pipeline/stop").status_code == 200
        assert board.running == {"topics": False, "silent": False}
        assert set(client.post("/pipeline/start").json()["lines"]) == {"topics", "silent"}
        assert board.running == {"topics": True, "silent": True}
        assert client.post("/pipeline/stop", params={"line": "nope"}).status_code == 404
    entries = gateway.platform.ledger.entries(kind="switched")
    assert [(each.line, each.actor, each.body["on"]) for each in entries] == [
        ("topics", "admin", False),
        ("silent", "admin", False),
        ("topics", "admin", True),
        ("silent", "admin", True),
    ]


@pytest.mark.parametrize("path", ["/pipeline/start", "/pipeline/stop", "/pipeline/train?model_type=topics"])
@pytest.mark.parametrize("role", ["viewer", "contributor", "reviewer"])
def test_others_are_refused_and_written_down(gateway: Gateway, board: Switchboard, path: str, role: str) -> None:
    with gateway.client(role) as client:  # pyright: ignore[reportArgumentType]
        assert client.post(path).status_code == 403
    (entry,) = gateway.platform.ledger.entries(kind="refused_access")
    assert (entry.actor, entry.body["route"]) == (role, path.partition("?")[0])
    assert board.running["topics"]
    assert board.launched == []


def test_train_gathers_and_launches_once_whatever_the_counts_say(gateway: Gateway, board: Switchboard) -> None:
    use(gateway.platform, gateway.line, items=6)
    with gateway.client("admin") as client:
        assert client.post("/pipeline/train", params={"model_type": "topics", "force": "false"}).status_code == 409
        done = client.post("/pipeline/train", params={"model_type": "baseline"})
        assert done.status_code == 200
        by_line = {each["line"]: each for each in done.json()["trainings"]}
        (batch,) = gateway.platform.batches.list("topics")
        assert (by_line["topics"]["batch_id"], by_line["topics"]["run_id"]) == (batch.batch_id, "run-1")
        assert (by_line["silent"]["batch_id"], by_line["silent"]["run_id"]) == (None, None)
        assert "0 new examples" in by_line["silent"]["why"]
        again = client.post("/pipeline/train", params={"model_type": "topics"})
        assert again.status_code == 409
        assert "0 new examples; a batch of the line has at least 4." in again.json()["error"]["message"]
        assert client.post("/pipeline/train", params={"model_type": "nope"}).status_code == 404
        assert client.post("/pipeline/train").status_code == 422
    assert board.launched == [("topics", batch.batch_id, "train")]
    assert not claim(gateway.platform, gateway.line, batch.batch_id, "intake", actor="sensor")


def test_nothing_is_gathered_while_nobody_could_run_it(gateway: Gateway, board: Switchboard) -> None:
    use(gateway.platform, gateway.line, items=6)
    board.away = True
    with gateway.client("admin") as client:
        for path in ("/pipeline/train?model_type=topics", "/pipeline/start", "/pipeline/stop"):
            refused = client.post(path)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert "Start it with `mlops up`" in refused.json()["error"]["message"]
        told = client.get("/v1/lines/topics/why").json()
    assert gateway.platform.batches.list("topics") == []
    assert {each["name"]: each["works"] for each in told["running"]}["Dagster"] is False


def test_why_says_what_is_missing_and_what_does_not_run(gateway: Gateway, board: Switchboard) -> None:
    board.running["topics"] = False
    with gateway.client("viewer") as client:
        told = client.get("/v1/lines/topics/why").json()
        assert client.get("/v1/lines/nope/why").status_code == 404
    assert (told["start"], told["examples"]) == (False, 0)
    running = {each["name"]: each for each in told["running"]}
    assert "switched off: topics_failure" in running["sensors"]["sentence"].lower()
    assert running["sensors"]["todo"].startswith("POST /pipeline/start?line=topics")
    assert running["daemon"]["works"]


def test_the_loop_from_predictions_to_a_decision(tmp_path: Path) -> None:
    """Users are answered by the model, correct it, and what they said becomes the next version's data."""
    line = baseline_line(tmp_path)
    policy = Policy.model_validate(line.policy.model_dump() | {"auto_approve_finetuning": True})
    wanted = eager(line)
    platform, line = released_platform(tmp_path, collection=wanted.collection, triggers=wanted.triggers, policy=policy)
    board = Switchboard("topics")
    rows = texts(1, ITEMS)
    with gateway_of(replace(platform, orchestrator=board), line) as gateway:
        with gateway.client("contributor") as client:
            until_ready(client, line.line)
            names = []
            for at in range(10):
                some = [row["text"] for row in rows[at::10]]
                answer = client.post(f"/v1/lines/{line.line}/predict", json={"inputs": some, "user": f"user{at}"})
                assert answer.status_code == 200, answer.text
                names += [each["prediction_id"] for each in answer.json()["predictions"]]
            until(lambda: platform.events.count(line.line).get("prediction", 0) > ITEMS)
            told = [row for at in range(10) for row in rows[at::10]]
            corrections = [
                {"kind": "correction", "prediction_id": name, "target": row["label"]}
                for name, row in zip(names, told, strict=True)
            ]
            receipts = client.post(f"/v1/lines/{line.line}/events", json=corrections).json()["receipts"]
            assert {each["status"] for each in receipts} == {"stored"}
        with gateway.client("admin") as client:
            started = client.post("/pipeline/train", params={"model_type": line.line, "force": "false"}).json()
    (training,) = started["trainings"]
    assert training["examples"] == ITEMS
    assert board.launched == [(line.line, training["batch_id"], "train")]
    assert raw_batch(platform, line, training["batch_id"]).senders == ("contributor",)
    decision = run(platform, line, training["batch_id"])
    assert (decision.verdict, platform.versions.pointer(line.line).roles["production"]) == ("APPROVE", 2)


def until_ready(client: httpx.Client, line: str) -> None:
    """Wait until the line answers."""
    until(lambda: client.post(f"/v1/lines/{line}/predict", json={"input": "word1"}).status_code != 503)


def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)
