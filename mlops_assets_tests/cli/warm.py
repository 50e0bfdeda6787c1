"""The command without the seconds that Python needs to load it: a process that has, and forks for every call.

`python -m mlops_assets_tests.cli.warm` reads one JSON line for each call: `arguments`, `environment`, and the files
`out` and `err`; it answers with the exit code. What runs the command is a process of its own, that ends as any does.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LOADED = (
    "mlops_assets.components.running",
    "mlops_assets.adapters.tracker_mlflow",
    "mlops_assets.adapters.alerts_apprise",
)


class WarmCommand:
    """The parent of such processes; one call at a time. A call that is given up ends it, and the next has another."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._turn = threading.Lock()

    def __call__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
        """Run `mlops` with these arguments in this environment; return its exit code, stdout and stderr."""
        with tempfile.TemporaryDirectory(prefix="mlops-") as folder, self._turn:
            out, err = Path(folder) / "out", Path(folder) / "err"
            call = {"arguments": arguments, "environment": dict(environment), "out": str(out), "err": str(err)}
            process = self._process = self._process or _started()
            assert process.stdin
            assert process.stdout
            try:
                print(json.dumps(call), file=process.stdin, flush=True)
                code = int(process.stdout.readline())
            except BaseException:  # its time is over, or Ctrl-C: what it still answers is for nobody
                os.killpg(process.pid, signal.SIGKILL)
                self.close()
                raise
            return code, out.read_text(), err.read_text()

    def close(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None:
            with process:
                process.communicate()


def _started() -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
    return subprocess.Popen(
        [sys.executable, "-m", "mlops_assets_tests.cli.warm"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment | {"COLUMNS": "140"},
        start_new_session=True,
    )


def _become(call: Mapping[str, Any]) -> None:
    """Make this process the command that is called."""
    files = ((0, os.devnull), (1, call["out"]), (2, call["err"]))
    for number, path in files:
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.argv = ["mlops", *call["arguments"]]


def serve() -> None:
    """Answer calls until stdin ends; in a forked process, run the command and return."""
    for name in LOADED:
        importlib.import_module(name)
    from mlops_assets.adapters.mlflow_settings import quiet
    from mlops_assets.cli.main import main

    with quiet():  # loads MLflow
        pass
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
            return main()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
