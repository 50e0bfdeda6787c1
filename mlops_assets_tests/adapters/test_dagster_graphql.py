"""Dagster from outside: a real webserver, and what there is to say where it is away or says something else."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.adapters.dagster_graphql import DagsterGraphql
from mlops_assets.components.running import open_instance
from mlops_assets.core.errors import NotFound, Unavailable
from mlops_assets.core.orchestration import LINE_TAG, PARTITION_TAG, STAGE_TAG
from mlops_assets.wiring.environment import process_environment
from mlops_assets.wiring.platform import open_platform
from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lines import baseline_line

PATIENCE_SECONDS = 120
SENSORS = {f"topics_{name}" for name in ("inbox", "improve", "failure", "trigger")}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[DagsterGraphql]:
    """Serve one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield DagsterGraphql(f"http://127.0.0.1:{server.server_port}/")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_dagster_that_is_away_is_a_sentence() -> None:
    away = DagsterGraphql(f"http://127.0.0.1:{free_port()}")
    for call in (lambda: away.sensors("topics"), away.asleep, lambda: away.launch("topics", "b", stage="train")):
        with pytest.raises(Unavailable, match=r"gave no answer at .* Start it with `mlops up`"):
            call()
    with pytest.raises(Unavailable, match="gave no answer"):
        DagsterGraphql("nonsense").asleep()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>502</html>", "gave no answer"),
        (b"[]", "did not do it"),
        (json.dumps({"errors": [{"message": "Cannot query field"}]}).encode(), "Cannot query field"),
        (json.dumps({"data": {"repositoriesOrError": None}}).encode(), "did not do it"),
        (
            json.dumps({"data": {"repositoriesOrError": {"__typename": "PythonError", "message": "boom"}}}).encode(),
            "did not do it: boom",
        ),
        (
            json.dumps(
                {"data": {"repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": [{"name": 1}]}}}
            ).encode(),
            "did not do it",
        ),
    ],
)
def test_what_it_does_not_understand_is_told_and_never_believed(body: bytes, said: str) -> None:
    with answering(body) as client, pytest.raises(Unavailable, match=said):
        client.sensors("topics")


def test_an_empty_workspace_has_no_line() -> None:
    body = json.dumps({"data": {"repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": []}}}).encode()
    with answering(body) as client, pytest.raises(NotFound, match=r"no line 'topics'.*Reload"):
        client.sensors("topics")


@pytest.mark.slow
def test_a_real_webserver_switches_sensors_and_launches_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(tmp_path / "lines", baseline_line(tmp_path))
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLOPS_LINES", str(tmp_path / "lines"))
    platform = open_platform()
    open_instance(platform).dispose()
    with webserver(platform.root, tmp_path / "log") as client:
        assert {each.name for each in client.sensors("topics") if each.running} >= SENSORS
        assert "SENSOR" in client.asleep()
        for on in (False, False, True):
            states = client.switch("topics", on=on)
            assert {each.running for each in states} == {on}
            assert {each.running for each in client.sensors("topics")} == {on}
            assert {each.running for each in client.sensors("mango")} == {True}
        run_ids = {client.launch("topics", "20261121-0123456789ab", stage="train") for _ in range(2)}
        assert len(run_ids) == 2  # who launches once is for `launching.claim` to say
        with pytest.raises(NotFound):
            client.switch("no_such_line", on=True)
    with open_instance(platform) as instance:
        for run_id in run_ids:
            run = instance.get_run_by_id(run_id)
            assert run is not None
            assert (run.job_name, run.status) == ("topics_chain", dg.DagsterRunStatus.QUEUED)
            wanted = {PARTITION_TAG: "20261121-0123456789ab", STAGE_TAG: "train", LINE_TAG: "topics"}
            assert wanted.items() <= run.tags.items()
    with pytest.raises(Unavailable):
        client.sensors("topics")


@contextlib.contextmanager
def webserver(root: Path, log: Path) -> Iterator[DagsterGraphql]:
    """Run dagster-webserver until it answers."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(Path(sys.executable).parent / "dagster-webserver"), "-w", str(root / "workspace.yaml")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=output,
            env=os.environ | process_environment(),
        )
    client, ends = DagsterGraphql(address), time.monotonic() + PATIENCE_SECONDS
    try:
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            with contextlib.suppress(Unavailable):
                client.asleep()
                break
            time.sleep(0.2)
        yield client
    finally:
        process.terminate()
        process.wait(60)
