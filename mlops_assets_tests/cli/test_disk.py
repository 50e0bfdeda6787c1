"""A disk that refuses, by a limit on what a process may write: a sentence, nothing confirmed lost, and it goes on."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from mlops_assets_tests.cli.test_serve import command, environment, gateway, site
from mlops_assets_tests.waiting import wait_until

__all__ = ["site"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="another process's limits are Linux")
UNLIMITED = resource.RLIM_INFINITY


def limited(folder: Path, most: int, *arguments: str) -> str:
    """Run a command that may write no file beyond `most` bytes; return what it says is wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "mlops_assets.cli", *arguments, "--json"],
        capture_output=True,
        text=True,
        env=environment(folder),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, UNLIMITED)),
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(json.loads(done.stdout).values())


def test_a_command_says_what_is_full_and_succeeds_when_there_is_room(site: Path, tmp_path: Path) -> None:
    assert "cannot be written" in limited(site, 0, "keys", "add", "full", "--role", "viewer")
    (tmp_path / "texts.bin").write_bytes(os.urandom(300_000))
    submit = ("submit", "topics", str(tmp_path / "texts.bin"))
    assert "Make room" in limited(site, 150_000, *submit)
    assert command(site, *submit, "--json")["duplicate_of"] is None


def test_the_gateway_refuses_what_it_cannot_keep_and_goes_on_when_there_is_room(site: Path) -> None:
    key = (site / "key").read_text()
    with (
        gateway(site, "--no-watch") as (process, url),
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client,
    ):

        def send(event: str) -> httpx.Response:
            return client.post(
                "/pipeline/collect/feedback", params={"line": "topics"}, json={"rating": 5, "event_id": event}
            )

        assert send("before").json()["status"] == "stored"
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, UNLIMITED))
        refused = send("during")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert "None was acknowledged" in refused.json()["error"]["message"]
        assert refused.headers["Retry-After"]
        assert client.get("/pipeline/status").status_code in (200, 503)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (UNLIMITED, UNLIMITED))
        wait_until(lambda: send("during").status_code == 200)
        assert send("before").json()["status"] == "duplicate"
        assert send("during").json()["status"] == "duplicate"
    for line in (site / "gateway.log").read_text().splitlines():
        assert "Traceback" not in line, line
