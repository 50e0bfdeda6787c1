"""The gateway under load: beside a bare server, beside the model alone, with copies, and while versions switch.

`mlops serve --no-watch` runs as it is - keys, metrics, request log, a worker process a version, every prediction stored
- with a model that does next to nothing (the baseline family's, which has seen nothing). `load.py` sends from a third
process, so that three share two cores. The physical limit is a raw ASGI app on the same uvicorn, the model alone the
same predictor in this process. Targets: 4,000 requests/s; p99 at most 10 ms at half load; 0.3 ms added at p50 to the
model called alone; copies of every request (shadow) at most 5 % of p99 at 30 % load; no failed request in switches.

Learned: FastAPI's middleware and its search for the route took as long as the whole rest of a prediction, so the door
hands what is answered by plain ASGI to it directly. The package `limits` started a thread every 10 ms. Storing what was
predicted every 10 ms cost as much as answering; every 50 ms costs a fifth. A thread that computes keeps Python for 5 ms
from the event loop unless told otherwise, and every call to the system hands it over. Going through all that is loaded
for garbage stopped everything for 0.1 s, some times a minute. MLflow, imported by a thread of the gateway to reconcile
the registry, took every other millisecond of its first ten seconds. Copies that went one by one cost what answers cost.
uvicorn writes the head of an answer apart from its body: each write is a call to the system, some 30 us with the waking
of the client. Together they go, and with less made for each request, in 0.36 ms instead of 0.42 (p50 at 1 connection of
two gateways in turn, 19 rounds beside other work at load 10; their least 0.31 and 0.34). What is left has no peak.

At 1 connection four processes are woken in turn, each on a CPU that fell asleep. With CPUs kept awake by work at nice
19, p50 is 0.26 to 0.33 ms instead of 0.55 (a raw ASGI app: 0.06 instead of 0.11), and 0.35 with the gateway and its
model bound to a CPU each. So half of what is added is the waking of virtual CPUs, and not the gateway's to save.

The floor of what is added, each measured alone: 0.07 ms a raw ASGI app on the same uvicorn; 0.025 ms an exchange with a
model worker beyond the model's own 0.01 (0.014 with any process over a socketpair). The rest is Python (the door, JSON,
metrics, log, ids, events): it takes the loop 0.13 ms at 16 connections, and 0.2 at one, with cold caches.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self, TypedDict

import psutil
import yaml
from alternate import Ratio, alternate, ratio, show
from load import Load, Loader, Request
from orchestration import TOPICS, write_texts
from pydantic import JsonValue

from mlops_assets.core.errors import Unavailable
from mlops_assets.core.line import EvaluationSet, Line, Release
from mlops_assets.core.policy import Margin, Policy
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle import keys
from mlops_assets.lifecycle.deployment.bootstrapping import bootstrap
from mlops_assets.lifecycle.deployment.rollout import advance, deploy, promote, rollback
from mlops_assets.wiring.lines import MODEL_LINE
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings

CALLERS = 32  # whose requests take turns, as each key may send 1,000 a second
CONNECTIONS = 16
START_SECONDS = 120
BODY = {"input": "music for a walk in the rain"}


class By(TypedDict):
    """Who moves versions, and why."""

    actor: str
    reason: str


BY: By = {"actor": "bench", "reason": "benchmark"}


class Gateway:
    """A home with released lines of the baseline family, and `mlops serve` before it; use as a context."""

    def __init__(self, root: Path, lines: list[Line], body: Mapping[str, JsonValue] = BODY) -> None:
        self.lines = lines
        self.body = json.dumps(dict(body))
        self.home = root / "home"
        (root / "lines").mkdir()
        documents = [
            {"type": MODEL_LINE, "attributes": each.model_dump(mode="json", exclude_unset=True)} for each in lines
        ]
        (root / "lines" / "bench.yaml").write_text(yaml.safe_dump_all(documents))
        self.platform: Platform = open_platform(Settings(home=self.home, lines=root / "lines"))
        for line in lines:
            assert bootstrap(self.platform, line) is not None
        issued = [
            keys.issue(self.platform, f"caller{at}", "contributor", days=1, actor="bench") for at in range(CALLERS)
        ]
        self.keys = tuple(secret for secret, _ in issued)
        self.port = free_port()
        self._environment = os.environ | {"MLOPS_HOME": str(self.home), "MLOPS_LINES": str(root / "lines")}
        self._log = (root / "gateway.log").open("ab")

    def __enter__(self) -> Self:
        """Start it, and wait until every line answers."""
        command = [sys.executable, "-m", "mlops_assets.cli", "serve", "--no-watch", "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)
        for line in self.lines:
            answering(self.predict(line))
        command = ["-m", "mlops_assets.cli.healing"]  # which runs for some seconds, once
        beside = psutil.Process(self.process.pid).children(recursive=True)
        psutil.wait_procs([each for each in beside if each.cmdline()[1:] == command], timeout=START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        """End it in good order."""
        self.process.terminate()
        self.process.wait(60)

    def predict(self, line: Line, *, marked: str = "") -> Request:
        """Return a request for a prediction."""
        url = f"http://127.0.0.1:{self.port}/v1/lines/{line.line}/predict"
        return Request(url, self.body, self.keys, wanted='"prediction_id"', marked=marked)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answering(request: Request) -> None:
    """Wait until a server answers a request as wanted."""
    headers = {"Content-Type": "application/json"}
    if request.keys:
        headers["Authorization"] = f"Bearer {request.keys[0]}"
    asked = urllib.request.Request(request.url, request.body.encode(), headers)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                assert request.wanted in answer.read().decode()
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Unavailable(f"{request.url} does not answer: {error}.", "Look at its log.") from error
            time.sleep(0.1)


def a_line(root: Path, name: str, **release: object) -> Line:
    """Return a line of the baseline family that releases its base model."""
    golden = root / "golden"
    if not golden.exists():
        write_texts(golden, 60, seed=0)
    return Line(
        line=name,
        family="baseline",
        config={"labels": list(TOPICS)},
        golden=EvaluationSet(path=str(golden), origin="synthetic"),
        policy=Policy(primary=Margin(metric="accuracy", margin=0.02), bootstrap="approve"),
        release=Release.model_validate(release),
    )


def second_version(platform: Platform, line: Line) -> int:
    """Store another model of the line, as if released earlier; return its version."""
    family = platform.family(line.family)
    config = family.Config.model_validate({**line.config, "smoothing": 0.2})
    with tempfile.TemporaryDirectory() as folder:
        model, servable = Path(folder, "model"), Path(folder, "servable")
        family.base(config, model)
        family.export(model, servable, config)
        stored = platform.store.put_folder(servable)
        other = platform.store.put_folder(model)
    return platform.versions.add(
        line.line, servable=stored, model=other, batch_id=None, decision_id="benchmark", parent_version=1
    ).version


RAW = """
import sys, uvicorn
BODY = b'{"prediction_id":"0","version":1,"arm":"production","output":{"label":"music","confidence":0.5}}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning", server_header=False, lifespan="off")
"""


class Raw:
    """The least that uvicorn can do; use as a context."""

    def __enter__(self) -> Request:
        """Start it; return a request for it."""
        port = free_port()
        self._process = subprocess.Popen([sys.executable, "-c", RAW, str(port)])
        request = Request(f"http://127.0.0.1:{port}/", json.dumps(BODY))
        answering(request)
        return request

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(60)


@contextmanager
def awake() -> Iterator[None]:
    """Let work that gives way to all other (nice 19) take what time the CPUs have left."""
    command = ["nice", "-n", "19", sys.executable, "-c", "while True: pass"]
    with ExitStack() as working:
        for _ in range(os.cpu_count() or 1):
            process = working.enter_context(subprocess.Popen(command))
            working.callback(process.kill)
        yield


def model_alone(gateway: Gateway, line: Line, calls: int) -> float:
    """Return the median milliseconds of the served model's predictor called in this process."""
    version = gateway.platform.versions.get(line.line, 1)
    predictor = gateway.platform.family(line.family).load(gateway.platform.store.folder(version.servable))
    took = []
    for _ in range(calls):
        start = time.perf_counter()
        predictor.predict([BODY["input"]])
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1000


def switched(gateway: Gateway, loader: Loader, line: Line, version: int, rate: float) -> tuple[Load, float]:
    """Switch versions under load, in every way; return what came of the load, and how long a rollback took to count.

    That is from the call of `rollback`, as the judge of a canary calls it, to the last answer by the canary.
    """
    platform, request = gateway.platform, gateway.predict(line, marked='"arm":"canary"')
    with loader.meanwhile(request, rate=rate, seconds=12) as found:
        deploy(platform, line, version, strategy="replace", **BY)
        time.sleep(2)
        rollback(platform, line, to=None, **BY)
        time.sleep(2)
        deploy(platform, line, version, strategy="canary", **BY)
        advance(platform, line, **BY)
        advance(platform, line, **BY)
        time.sleep(2)
        told = time.monotonic()
        rollback(platform, line, to=None, **BY)
        time.sleep(2)
        deploy(platform, line, version, strategy="canary", **BY)
        promote(platform, line, **BY)
    (load,) = found
    return load, load.last_marked - told


def unrecorded(gateway: Gateway, line: Line, answered: int) -> int:
    """Wait until what was answered is stored; return how many answers are not."""
    deadline = time.monotonic() + 30
    while (missing := answered - gateway.platform.events.count(line.line).get("prediction", 0)) > 0:
        if time.monotonic() > deadline:
            return missing
        time.sleep(0.1)
    return 0


def main(quick: bool, as_json: bool) -> None:
    """Measure capacity, latency at half of it, what is added to the model, copies, and switches."""
    seconds, rounds, requests = (1, 5, 1_000) if quick else (3, 7, 8_000)
    figures: dict[str, Ratio | float | str] = {}
    with ExitStack() as opened:
        root = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        plain = a_line(root, "plain")
        copied = a_line(root, "copied", shadow_percentage=1.0, canary_percentage=0.0001)
        switching = a_line(root, "switching", further_steps=[0.25, 0.5])
        gateway = opened.enter_context(Gateway(root, [plain, copied, switching]))
        raw, loader = opened.enter_context(Raw()), opened.enter_context(Loader())
        request = gateway.predict(plain)
        loads: list[Load] = []

        def closed(asked: Request, connections: int) -> Load:
            load = loader.closed(asked, connections, requests=requests if connections > 1 else requests // 4)
            if asked is request:
                loads.append(load)
            return load

        figures[f"gateway / raw ASGI app on the same uvicorn, {CONNECTIONS} connections"] = alternate(
            lambda: closed(request, CONNECTIONS), lambda: closed(raw, CONNECTIONS), rounds
        )
        capacity = statistics.median(each.per_second for each in loads[1:])
        figures[f"requests a second, {CONNECTIONS} connections"] = round(capacity)
        half = [loader.open(request, capacity / 2, seconds=seconds) for _ in range(rounds)]
        loads += half
        figures["p50 milliseconds at half of that, open loop"] = statistics.median(each.p50_ms for each in half)
        figures["p99 milliseconds at half of that, open loop"] = statistics.median(each.p99_ms for each in half)
        added, awake_added, beside_raw = [], [], []
        for _ in range(rounds):
            one, alone = closed(request, 1).p50_ms, model_alone(gateway, plain, 1_000)
            added.append(one - alone)
            beside_raw.append(one - closed(raw, 1).p50_ms)
            with awake():
                awake_added.append(closed(request, 1).p50_ms - alone)
        figures["milliseconds added at p50 to the model called directly, 1 connection"] = statistics.median(added)
        figures["of which beyond a raw ASGI app"] = statistics.median(beside_raw)
        figures["milliseconds added at p50, 1 connection, where no CPU falls asleep"] = statistics.median(awake_added)
        assert unrecorded(gateway, plain, sum(each.requests for each in loads)) == 0

        deploy(gateway.platform, copied, second_version(gateway.platform, copied), strategy="canary", **BY)
        calm = capacity * 0.3
        figures["p99 with every request copied (shadow) / without, 30 % load"] = ratio(
            lambda: loader.open(gateway.predict(copied), calm, seconds=seconds).p99_ms / 1000,
            lambda: loader.open(request, calm, seconds=seconds).p99_ms / 1000,
            rounds,
        )
        version = second_version(gateway.platform, switching)
        load, until_zero = switched(gateway, loader, switching, version, capacity / 2)
        figures["requests while versions switched, half load"] = load.requests
        figures["of which not answered with 200"] = sum(load.failed.values())
        figures["seconds from a verdict to the canary's last answer"] = until_zero
    show(figures, as_json)


if __name__ == "__main__":
    main("--quick" in sys.argv, "--json" in sys.argv)
