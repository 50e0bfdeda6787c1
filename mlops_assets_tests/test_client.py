"""The client of products: source 004's calls over real HTTP, and what it does when the gateway is away or busy."""

import http.server
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from mlops_assets.client import Pipeline, PipelineConfig, get_pipeline
from mlops_assets.core.errors import ConfigError, Forbidden, NotFound, PlatformError, Unavailable, UsageError
from mlops_assets.core.line import Triggers
from mlops_assets.core.serving import AccessRole
from mlops_assets_tests.serving.door.test_door import until
from mlops_assets_tests.serving.gateway_fixture import Gateway, gateway_of, released_platform

TOPIC = {"label": "music", "confidence": pytest.approx(1 / 3)}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of a line that trains after seven examples."""
    folder = tmp_path_factory.mktemp("client")
    platform, line = released_platform(folder, triggers=Triggers(retrain_threshold=7))
    with gateway_of(platform, line) as made:
        yield made


@contextmanager
def calling(gateway: Gateway, role: AccessRole = "admin", **settings: Any) -> Iterator[Pipeline]:
    pipeline = get_pipeline(PipelineConfig(url=gateway.url, key=gateway.keys[role], line="topics", **settings))
    try:
        yield pipeline
    finally:
        pipeline.close()


def test_a_pipeline_is_one_for_each_configuration(gateway: Gateway) -> None:
    config = PipelineConfig(url=gateway.url, key=gateway.keys["admin"])
    with calling(gateway) as first, calling(gateway) as second:
        assert first is second
        assert get_pipeline() is first  # as 004's agents ask for what was configured once
        assert get_pipeline(config) is not first
        get_pipeline(config).close()
    with pytest.raises(ConfigError, match="takes no dict"):
        get_pipeline({"line": "topics"})  # pyright: ignore[reportArgumentType]


def test_what_is_collected_is_stored_and_a_prediction_can_be_corrected(gateway: Gateway) -> None:
    with calling(gateway, "contributor") as pipeline:
        until(lambda: answers(pipeline), seconds=60)
        predicted = pipeline.predict("topics", "music1 word2", user="ann")
        assert (predicted["version"], predicted["arm"], predicted["output"]) == (1, "production", TOPIC)
        assert len(pipeline.predict_many("topics", ["music1", "sport2"])) == 2
        used = pipeline.collect_controller_data(
            {"command": "generate_chords", "key": "10B", "bars": 8, "success": True}
        )
        rated = pipeline.collect_feedback({"rating": 5, "type": "chord_progression", "notes": "Great progression!"})
        corrected = {"kind": "correction", "prediction_id": predicted["prediction_id"], "target": "sport"}
        receipts = pipeline.collect("topics", [corrected, {"kind": "feedback", "rating": 9}])
        assert [used["status"], rated["status"]] == ["stored", "stored"]
        assert [each["status"] for each in receipts] == ["stored", "invalid"]
        status = pipeline.status()["lines"]["topics"]
        assert status["pointer"]["roles"] == {"production": 1}
        assert status["events"]["feedback"] >= 1
        assert [each["state"] for each in status["loaded"]] == ["ready"]
        assert "Dagster" in status["problem"]  # none runs here
        assert pipeline.check_controller_health()["status"] == "INCONCLUSIVE"  # nobody watches here
        assert set(pipeline.get_health_summary()["lines"]) == {"topics"}
        assert pipeline.get_health_history(hours=24) == []


def test_errors_are_the_platforms_own_sentences(gateway: Gateway) -> None:
    with calling(gateway) as pipeline:
        with pytest.raises(NotFound, match="There is no line 'none'"):
            pipeline.predict("none", "x")
        with pytest.raises(UsageError, match="rating"):
            pipeline.collect_feedback({"rating": 6})
        with pytest.raises(NotFound, match="was not evaluated"):
            pipeline.evaluate_model(model_version=1)
        with pytest.raises(NotFound):
            pipeline.deploy_model(model_version=7, canary=True)
        with pytest.raises(Unavailable, match="Dagster gave no answer"):
            pipeline.train_model("topics")
    with calling(gateway, "viewer") as pipeline, pytest.raises(Forbidden, match="needs admin"):
        pipeline.start()
    stranger = Pipeline(PipelineConfig(url=gateway.url, key="mlops_wrong", line="topics"))
    with pytest.raises(ConfigError, match="refuses this client's key"):
        stranger.status()
    stranger.close()


def test_a_setting_that_counts_elsewhere_is_told_and_not_ignored(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    with calling(gateway, retrain_threshold=50, canary_percentage=0.1) as pipeline:
        with caplog.at_level(logging.WARNING):
            pipeline.collect_feedback({"rating": 4})
            pipeline.collect_feedback({"rating": 4})
        assert len(caplog.messages) == 1
        assert "retrain_threshold is 50 here and 7 on the server" in caplog.messages[0]
        assert "triggers.retrain_threshold in the YAML of topics" in caplog.messages[0]
        assert pipeline.differences() == caplog.messages
    with calling(gateway, collect_feedback=False) as pipeline:
        before = gateway.platform.events.last("topics")
        assert pipeline.collect_feedback({"rating": 4})["status"] == "off"
        assert gateway.platform.events.last("topics") == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"key": "mlops_sécret"}, "key is none"),
        ({"key": "mlops_sec\nret"}, "key is none"),
        ({"key": "  "}, "has no key"),
        ({"url": "http://[::1", "key": "mlops_secret"}, "no address"),
        ({"url": "localhost:8000", "key": "mlops_secret"}, "no address"),
    ],
)
def test_a_setting_that_cannot_be_is_told_without_the_key(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as told:
        Pipeline(PipelineConfig(**settings))  # pyright: ignore[reportArgumentType]
    assert "cret" not in str(told.value)


def test_a_key_is_read_as_a_file_holds_it(gateway: Gateway) -> None:
    pipeline = Pipeline(PipelineConfig(url=gateway.url, key=gateway.keys["viewer"] + "\n"))
    assert "topics" in pipeline.status()["lines"]
    pipeline.close()


def test_an_answer_of_another_server_is_told_so() -> None:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Dagster</html>")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with served_by(Page) as url, pytest.raises(Unavailable, match=f"What answers at {url} is no gateway"):
        Pipeline(PipelineConfig(url=url, key="mlops_x")).status()


def test_without_a_gateway_it_says_where_it_looked() -> None:
    with pytest.raises(Unavailable, match=r"No gateway answers at http://127\.0\.0\.1:9"):
        Pipeline(PipelineConfig(url="http://127.0.0.1:9", key="mlops_x")).status()


def test_events_are_sent_again_under_the_same_id_and_predictions_only_if_nothing_was_done() -> None:
    with unreliable([503, None, 429, 200]) as (url, asked):
        pipeline = Pipeline(PipelineConfig(url=url, key="mlops_x"))
        assert pipeline.collect_feedback({"rating": 5}) == {"status": "stored"}
        pipeline.close()
    assert len(asked) == 4
    assert len({json.loads(body)["event_id"] for body in asked}) == 1
    with unreliable([503, 503, 200]) as (url, asked):
        pipeline = Pipeline(PipelineConfig(url=url, key="mlops_x"))
        assert pipeline.predict("intent", "play something") == {"status": "stored"}
        pipeline.close()
    assert len(asked) == 3
    with unreliable([None, 200]) as (url, asked):
        pipeline = Pipeline(PipelineConfig(url=url, key="mlops_x"))
        with pytest.raises(PlatformError, match="No gateway answers"):
            pipeline.deploy_model(model_version=2)  # it may have been done
        pipeline.close()
    assert len(asked) == 1


def test_a_wait_that_is_named_as_a_date_is_waited_for() -> None:
    begun = time.monotonic()
    with unreliable([429, 200], format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)) as (url, asked):
        pipeline = Pipeline(PipelineConfig(url=url, key="mlops_x"))
        assert pipeline.predict("intent", "play something") == {"status": "stored"}
        pipeline.close()
    assert len(asked) == 2
    assert time.monotonic() - begun > 0.9, "not the 0.2 s of a server that names none"


def test_it_needs_neither_dagster_nor_mlflow() -> None:
    code = (
        "import sys; import mlops_assets.client as client; client.Pipeline(client.PipelineConfig(key='mlops_x'));"
        "print([name for name in ('dagster', 'mlflow', 'fastapi', 'langgraph', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def answers(pipeline: Pipeline) -> bool:
    try:
        return bool(pipeline.predict("topics", "music1"))
    except PlatformError:
        return False


@contextmanager
def unreliable(statuses: list[int | None], retry_after: str = "0") -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers with each status in turn; None is a connection that ends without an answer."""
    asked: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            status = statuses[len(asked) - 1]
            if status is None:
                self.close_connection = True
                return
            busy = {"error": {"code": "busy", "message": "Too much at once.", "request_id": "1"}}
            body = json.dumps({"status": "stored"} if status == 200 else busy).encode()
            self.send_response(status)
            self.send_header("Retry-After", retry_after)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with served_by(Handler) as url:
        yield url, asked


@contextmanager
def served_by(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve by a handler; yield the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
