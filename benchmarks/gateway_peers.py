"""The gateway beside MLflow's model server, LitServe and BentoML: the same ONNX model and input, one worker each.

The model is the preference family's, untrained (its graph is whole), loaded by the same code everywhere; each server is
as its documentation shows it for one worker process on a CPU, without log lines. Ours also checks a key, counts, logs
and stores every prediction. The servers are installed into an environment of their own, `.venv/peers`, by package name.
Single requests from `load.py`, each peer and ours in turn: time for the same requests, and what a request waits.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from alternate import Ratio, alternate, show
from gateway import Gateway, answering, free_port
from load import Load, Loader, Request

from mlops_assets.core.line import Line
from mlops_assets.wiring.lines import read_lines

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv" / "peers"
PACKAGES = ("mlflow>=3.17,<4", "litserve==0.2.19", "bentoml==1.4.39", "onnxruntime>=1.31,<2", "scipy")
EVENT = {"user": "u1", "type": "generation", "command": "generate_chords", "key": "10B", "bars": 8, "success": True}
CONNECTIONS = 16
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1", "LIT_QUIET": "1"}

MODEL = """
import os
from pathlib import Path
from mlops_assets.families.preference import FAMILY
def load():
    return FAMILY.load(Path(os.environ["SERVABLE"]))
"""
MLFLOW = """
from typing import Any
import mlflow
from model import load
class Preference(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.model = load()
    def predict(self, model_input: list[dict[str, Any]]):
        return self.model.predict(model_input)
mlflow.models.set_model(Preference())
"""
MLFLOW_SAVE = """
import mlflow
mlflow.pyfunc.save_model("saved", python_model="mlflow_model.py", code_paths=["model.py"])
"""
LITSERVE = """
import sys
import litserve as ls
from model import load
class Preference(ls.LitAPI):
    def setup(self, device):
        self.model = load()
    def predict(self, x):
        return self.model.predict([x["input"]])[0]
if __name__ == "__main__":
    server = ls.LitServer(Preference(), accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True)
    port = int(sys.argv[1])
    server.run(host="127.0.0.1", port=port, num_api_servers=1, log_level="error", generate_client_file=False)
"""
BENTOML = """
import bentoml
from model import load
@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Preference:
    def __init__(self):
        self.model = load()
    @bentoml.api
    def predict(self, input: dict) -> dict:
        return self.model.predict([input])[0]
"""


def peers() -> Path:
    """Install the peers, once; return their Python."""
    python = PEERS / "bin" / "python"
    wanted, done = "\n".join(PACKAGES), PEERS / "installed"
    if not done.exists() or done.read_text() != wanted:
        venv.create(PEERS, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True, stdout=sys.stderr)
        done.write_text(wanted)
    return python


def versions(python: Path) -> dict[str, str]:
    """Return the peers' versions."""
    asked = "import importlib.metadata as m, json; print(json.dumps([m.version(x) for x in %r]))"
    names = ("mlflow", "litserve", "bentoml")
    said = subprocess.run([python, "-c", asked % (names,)], capture_output=True, text=True, check=True).stdout
    return dict(zip(names, json.loads(said), strict=True))


@contextmanager
def served(command: list[str | Path], request: Request, folder: Path, servable: Path, log: Path) -> Iterator[Request]:
    """Run a server until the block ends; yield once it answers."""
    environment = os.environ | QUIET | {"SERVABLE": str(servable), "PYTHONPATH": f"{folder}:{ROOT}"}
    environment["PATH"] = f"{Path(command[0]).parent}:{environment['PATH']}"
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True)
        try:
            answering(request)
            yield request
        finally:
            os.killpg(process.pid, 15)
            process.wait(60)


def start(stack: ExitStack, python: Path, folder: Path, servable: Path) -> dict[str, Request]:
    """Start every peer; return a request for each."""
    for name, text in (("model", MODEL), ("mlflow_model", MLFLOW), ("lit", LITSERVE), ("bento", BENTOML)):
        (folder / f"{name}.py").write_text(text)
    environment = os.environ | QUIET | {"SERVABLE": str(servable), "PYTHONPATH": f"{folder}:{ROOT}"}
    subprocess.run([python, "-c", MLFLOW_SAVE], cwd=folder, env=environment, check=True, capture_output=True)
    scripts, ports = python.parent, [str(free_port()) for _ in range(3)]
    one, several = json.dumps({"input": EVENT}), json.dumps({"inputs": [EVENT]})
    commands: dict[str, tuple[list[str | Path], str, str]] = {
        "MLflow": (
            [scripts / "mlflow", "models", "serve", "-m", "saved", "--env-manager", "local", "-p", ports[0], "-w", "1"],
            f"http://127.0.0.1:{ports[0]}/invocations",
            several,
        ),
        "LitServe": ([python, "lit.py", ports[1]], f"http://127.0.0.1:{ports[1]}/predict", one),
        "BentoML": (
            [scripts / "bentoml", "serve", "bento:Preference", "--port", ports[2], "--host", "127.0.0.1"],
            f"http://127.0.0.1:{ports[2]}/predict",
            one,
        ),
    }
    return {
        name: stack.enter_context(
            served(command, Request(url, body, wanted='"rating"'), folder, servable, folder / f"{name}.log")
        )
        for name, (command, url, body) in commands.items()
    }


def preference_line() -> Line:
    """Return the repository's preference line under another name: it has learned nothing."""
    line = next(each for each in read_lines() if each.line == "preference")
    return line.model_copy(update={"line": "bench_preference"})


def main(quick: bool, as_json: bool) -> None:
    """Measure each peer and ours in turn."""
    requests, rounds = (500, 5) if quick else (4_000, 7)
    figures: dict[str, Ratio | float | str] = {}
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        line = preference_line()
        gateway = stack.enter_context(Gateway(root, [line], body={"input": EVENT}))
        servable = gateway.platform.store.folder(gateway.platform.versions.get(line.line, 1).servable)
        (root / "peers").mkdir()
        python = peers()
        found = start(stack, python, root / "peers", servable)
        loader = stack.enter_context(Loader())
        ours = gateway.predict(line)
        loads: dict[str, list[Load]] = {}

        def slices(name: str, request: Request, connections: int) -> Callable[[], None]:
            def one() -> None:
                load = loader.closed(request, connections, requests=requests if connections > 1 else requests // 8)
                loads.setdefault(f"{name}, {connections} connections", []).append(load)

            return one

        for name, request in found.items():
            for connections in (1, CONNECTIONS):
                figures[f"{name} / gateway, time for the same requests, {connections} connections"] = alternate(
                    slices(name, request, connections), slices("gateway", ours, connections), rounds
                )
        for name, each in loads.items():
            speed, p50, p99 = (
                statistics.median(getattr(load, what) for load in each) for what in ("per_second", "p50_ms", "p99_ms")
            )
            figures[f"{name}: requests/s, p50 ms, p99 ms"] = f"{speed:.0f}, {p50:.2f}, {p99:.2f}"
        figures["versions"] = ", ".join(f"{name} {version}" for name, version in versions(python).items())
    show(figures, as_json)


if __name__ == "__main__":
    main("--quick" in sys.argv, "--json" in sys.argv)
