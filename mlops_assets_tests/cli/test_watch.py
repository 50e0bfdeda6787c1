"""`mlops watch` as its users meet it: once with a document, and as a process that acts until it is told to stop."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mlops_assets.core.line import Line, Release
from mlops_assets.core.ports.platform import Platform
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings
from mlops_assets_tests.cli.conftest import Shell
from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lifecycle.traffic import Harm, Traffic
from mlops_assets_tests.lines import baseline_line

SECONDS = 60


def rolling(shell: Shell) -> tuple[Platform, Line]:
    """Give version 1 to a tenth of the users of version 2."""
    release = Release(deployment_strategy="canary", step_requests=100_000)
    declare(shell.folder / "lines", baseline_line(Path(shell.folder), release=release))
    assert shell("deploy", "topics", "1", "--reason", "compare with the base").code == 0
    settings = Settings(root=shell.folder, home=shell.folder / "home", lines=shell.folder / "lines")
    platform = open_platform(settings)
    return platform, next(each for each in platform.lines() if each.line == "topics")


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def test_a_watch_takes_harm_back_says_so_and_ends_when_it_is_told(own_shell: Shell) -> None:
    shell = own_shell
    platform, line = rolling(shell)
    Traffic(platform, line).send(300)
    once = shell("watch", "topics", "--once", "--json")
    assert once.code == 0, once.err
    (seen,) = once.document
    assert (seen["events"] > 300, seen["did"]) == (True, [])
    assert seen["state"]["rollout"]["judged"]["verdict"] == "INCONCLUSIVE"
    assert "v1 against v2 at 10%: INCONCLUSIVE" in shell("watch", "topics", "--once").out
    log = shell.folder / "watch.log"
    command = [sys.executable, "-m", "mlops_assets.cli", "watch", "topics", "--every", "0.1"]
    environment = os.environ | {"MLOPS_HOME": str(shell.folder / "home"), "MLOPS_LINES": str(shell.folder / "lines")}
    with log.open("w") as errors:
        watch = subprocess.Popen(command, stderr=errors, env=environment)
    try:
        until(lambda: "Watching topics" in log.read_text())
        Traffic(platform, line, {1: Harm(errors=0.5)}).send(800)
        until(lambda: "took version 1 back: errors" in log.read_text())
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(SECONDS) == 0
    finally:
        with suppress(ProcessLookupError):
            watch.kill()
        watch.wait()
    assert platform.versions.pointer("topics").rollout is None
    assert platform.ledger.entries("topics", newest=1)[-1].actor == "watch"
    assert log.read_text().count("took version 1 back") == 1
