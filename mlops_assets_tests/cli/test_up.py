"""`mlops up` as its user meets it: it names what it started, makes the inboxes, and Ctrl-C leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil

from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lines import baseline_line


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _heed_ctrl_c() -> None:
    """Undo what a script's background job inherits: Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_everything_starts_together_and_ends_on_ctrl_c(tmp_path: Path):
    declare(tmp_path / "lines", baseline_line(tmp_path))
    ports = ("--port", _free_port(), "--mlflow-port", _free_port(), "--gateway-port", _free_port())
    process = subprocess.Popen(
        [sys.executable, "-m", "mlops_assets.cli", "up", "--json", *ports],
        env=os.environ | {"MLOPS_HOME": str(tmp_path / "home"), "MLOPS_LINES": str(tmp_path / "lines")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_ctrl_c,
    )
    assert process.stdout
    try:
        text = ""
        while not text.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line, "it ended before everything answered"
            text += line
        document = json.loads(text)
        started = psutil.Process(process.pid).children(recursive=True)
        for address in document["addresses"].values():
            asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {document['key']}"})
            assert urllib.request.urlopen(asked, timeout=30).status == 200
        assert str(tmp_path / "home" / "inbox" / "topics") in document["inboxes"]
        assert all(Path(inbox).is_dir() for inbox in document["inboxes"])
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.stdout.close()
    assert psutil.wait_procs(started, timeout=30)[1] == []
