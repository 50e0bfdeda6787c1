"""`mlops serve` and `mlops keys` as their users meet them: a real process, real signals, real TLS."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from typer.testing import CliRunner

from mlops_assets.cli.main import app
from mlops_assets.core.errors import UsageError
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import read_settings
from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lines import baseline_line


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one line and the key of an admin, in `key`."""
    folder = tmp_path_factory.mktemp("site")
    declare(folder / "lines", baseline_line(folder))
    made = command(folder, "keys", "add", "ann", "--role", "admin", "--json")
    assert made["key"].startswith("mlops_")
    (folder / "key").write_text(made["key"])
    return folder


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
    return kept | {"MLOPS_HOME": str(folder / "home"), "MLOPS_LINES": str(folder / "lines")}


def command(folder: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "mlops_assets.cli", *arguments], capture_output=True, text=True, env=environment(folder)
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def gateway(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command; yield its process and address."""
    log = folder / "gateway.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlops_assets.cli", "serve", "--port", "0", "--line", "topics", "--json", *options],
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout
    try:
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, log.read_text()
            text += line
        yield process, json.loads(text)["url"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_what_is_in_flight_is_answered_before_it_stops(site: Path) -> None:
    body = b'{"rating": 5}'
    with gateway(site, "--no-watch", "--drain", "20") as (process, url):
        key = (site / "key").read_text()
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client:
            assert list(client.get("/pipeline/status").json()["lines"]) == ["topics"]
        address = httpx.URL(url)
        with socket.create_connection((address.host, address.port or 80), timeout=20) as line:
            line.sendall(
                f"POST /pipeline/collect/feedback?line=topics HTTP/1.1\r\nHost: here\r\n"
                f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            )
            line.sendall(body[:5])
            until(lambda: metrics(url, key).endswith(" 2.0"))  # itself, and the one that is not complete
            process.send_signal(signal.SIGTERM)
            until(lambda: not listens(url))
            line.sendall(body[5:])
            answer = b""
            while data := line.recv(65_536):
                answer += data
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b'"status":"stored"' in answer
        assert process.wait(30) == 0
    for line in (site / "gateway.log").read_text().splitlines():
        assert set(json.loads(line)) >= {"time"}


def test_the_watch_runs_beside_it_and_never_outlives_it(site: Path) -> None:
    with gateway(site) as (process, _):
        until(lambda: any("watch" in arguments(child) for child in psutil.Process(process.pid).children()))
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        assert psutil.wait_procs(children, timeout=20)[1] == []


def test_what_a_crash_left_unpublished_is_published_beside_it(tmp_path: Path) -> None:
    declare(tmp_path / "lines", baseline_line(tmp_path))
    made = open_platform(read_settings(home=tmp_path / "home", lines=tmp_path / "lines"))
    digest = made.store.put_folder(tmp_path / "lines")
    one = made.versions.add(
        "topics", servable=digest, model=digest, batch_id=None, decision_id=None, parent_version=None
    ).version
    made.versions.move("topics", made.versions.pointer("topics"), {"production": one})

    def told_the_registry() -> bool:
        with contextlib.closing(sqlite3.connect(tmp_path / "home" / "platform.db")) as tables:
            return bool(tables.execute("SELECT key FROM outbox WHERE key LIKE '%/roles/topics/%'").fetchall())

    assert not told_the_registry()
    with gateway(tmp_path, "--no-watch") as (process, _):
        until(told_the_registry, seconds=180)
        beside = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        assert psutil.wait_procs(beside, timeout=30)[1] == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate is made with openssl")
def test_over_tls_the_cookie_is_secure(site: Path) -> None:
    certificate, key = site / "cert.pem", site / "key.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject)
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    with gateway(site, "--no-watch", "--tls-cert", str(certificate), "--tls-key", str(key)) as (_, url):
        assert url.startswith("https://")
        with httpx.Client(base_url=url, verify=ssl.create_default_context(cafile=certificate)) as person:
            answer = person.post("/login", data={"key": (site / "key").read_text()}, headers={"Origin": url})
            assert answer.status_code == 303
            assert "; Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "options",
    [("--host", "0.0.0.0"), ("--host", "::"), ("--host", "example.org"), ("--tls-cert", "a.pem")],
    ids=["every interface", "IPv6", "a name", "half of TLS"],
)
def test_keys_never_cross_a_network_in_the_clear_unasked(options: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, ["serve", *options])
    assert isinstance(done.exception, UsageError)


def test_a_key_is_shown_once_and_kept_as_a_hash(site: Path) -> None:
    made = command(site, "keys", "add", "shop", "--role", "contributor", "--days", "30", "--json")
    listed = {each["name"]: each for each in command(site, "keys", "list", "--json")}
    assert (listed["shop"]["role"], listed["shop"]["state"]) == ("contributor", "valid")
    assert made["key"] not in json.dumps(listed)
    assert command(site, "keys", "revoke", "shop", "--json")["state"] == "revoked"
    stored = b"".join(path.read_bytes() for path in (site / "home").glob("platform.db*"))
    assert made["key"].encode() not in stored
    again = subprocess.run(
        [sys.executable, "-m", "mlops_assets.cli", "keys", "add", "ann"],
        capture_output=True, text=True, env=environment(site),
    )  # fmt: skip
    assert again.returncode == 1
    assert "ann has a key already" in again.stderr


def test_a_log_that_cannot_be_written_is_told_before_anything_is_served(site: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlops_assets.cli", "serve", "--port", "0", "--access-log", str(site / "no" / "log")],
        capture_output=True, text=True, env=environment(site),
    )  # fmt: skip
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


def arguments(process: psutil.Process) -> list[str]:
    """Return a process's command line; none if it has ended, as what heals beside a gateway does."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def metrics(url: str, key: str) -> str:
    text = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"}).text
    return next(line for line in text.splitlines() if line.startswith("gateway_requests_in_flight "))


def listens(url: str) -> bool:
    address = httpx.URL(url)
    with contextlib.suppress(OSError), socket.create_connection((address.host, address.port or 80), timeout=1):
        return True
    return False


def until(condition: Any, *, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come to pass"
        time.sleep(0.05)
