"""What `mlops demo` shows of serving: live predictions, a canary that is promoted, and one that is taken back.

Everything is as in production: a gateway on a port of this machine, a key, real requests, the real judge. Only the
judge's minimum times are left out, since nobody watches a demo for an hour, and the second canary is harmed on purpose.
"""

import itertools
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
from pydantic import JsonValue
from rich.console import Console

from mlops_assets.cli.context import actor, platform
from mlops_assets.cli.output import console, table
from mlops_assets.core.dataset import item_input, read_items
from mlops_assets.core.errors import NotFound, PlatformError
from mlops_assets.core.line import Line
from mlops_assets.core.records.data import Item
from mlops_assets.lifecycle import keys
from mlops_assets.lifecycle.deployment import rollout
from mlops_assets.lifecycle.evaluation.evaluation_sets import evaluation_sets
from mlops_assets.lifecycle.evaluation.examples import shown
from mlops_assets.lifecycle.monitoring.watching import look
from mlops_assets.wiring.environment import process_environment
from mlops_assets.wiring.settings import read_settings

CALLER = "demo"
CALLERS = 8  # that ask at once while a canary runs
USERS = 2_000
START_SECONDS = 120
CANARY_SECONDS = 240
LOOK_SECONDS = 0.25
RATE = 100_000  # requests a second that the demo's one key may send: far above what its callers reach
FAULT = "errors=0.1"
MEDIA = {".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".jpg": "image/jpeg", ".png": "image/png"}


@dataclass(frozen=True)
class Question:
    """One golden item as a request: its body, and what to show of it."""

    content: bytes | None
    document: JsonValue
    headers: dict[str, str]
    text: str


@dataclass(frozen=True)
class Gateway:
    """Where the demo's gateway is, and the key that it is called with."""

    url: str
    key: str

    def client(self) -> httpx.Client:
        """Return a client that calls it."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=60)


@dataclass
class Traffic:
    """What callers were answered: how often each status, and how often each arm."""

    statuses: Counter[int] = field(default_factory=Counter)
    arms: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Told:
    """One canary, from its first share of users to its end."""

    version: int
    ended: str
    why: str
    seconds: float
    traffic: Traffic


def live(out: Console, chosen: Sequence[Line]) -> None:
    """Serve the lines, ask each something, and let a canary be promoted and another be taken back."""
    served = [each for each in chosen if platform().serving.live(each.line) is not None]
    if not served:
        return
    subject = _subject(served)
    faults = [f"{subject.line}:1:{FAULT}"] if subject else []
    with _gateway(faults) as gateway, gateway.client() as client:
        rows = [_asked(client, each) for each in served]
        out.print(table("Live predictions, over HTTP", ("line", "asked", "answered", "version", "ms"), rows))
        if subject is not None:
            _canaries(out, gateway, subject)
    out.print(
        "To look at all this: `make up` names the address of the pages, and makes a key for them if there is none."
    )


def _subject(served: Sequence[Line]) -> Line | None:
    """Return the line whose versions 1 and 2 are rolled out again: a quick one, with labels, if there is one."""
    for each in sorted(served, key=lambda line: line.family != "text"):
        pointer = platform().versions.pointer(each.line)
        known = {version.version for version in platform().versions.list(each.line) if version.retired_at is None}
        if {1, 2} <= known and pointer.rollout is None and pointer.roles.get("production") in (1, 2):
            quick = each.release.model_copy(update={"step_minutes": 0.0, "min_minutes": 0.0})
            return each.model_copy(update={"release": quick})
    return None


def _canaries(out: Console, gateway: Gateway, subject: Line) -> None:
    roles = platform().versions.pointer(subject.line).roles
    if roles["production"] != 1:
        rollout.rollback(platform(), subject, to=1, reason="demo: to roll version 2 out step by step", actor=actor())
    told = [_canary(gateway, subject, 2, "demo: a canary that is as good as it was judged")]
    serving = platform().versions.pointer(subject.line)
    if serving.rollout is not None:  # nothing could be told in time
        rollout.rollback(platform(), subject, to=None, reason="demo: it was not decided in time", actor=actor())
    if serving.roles["production"] != 2:  # on a busy machine a process that has just begun may be slower, surely
        reason = "demo: the approved version serves, whatever became of its canary"
        rollout.deploy(platform(), subject, 2, strategy="replace", actor=actor(), reason=reason)
    told.append(_canary(gateway, subject, 1, f"demo: a canary that harms ({FAULT} injected)"))
    rows = [
        (
            f"v{each.version}",
            each.ended,
            each.why,
            str(sum(each.traffic.statuses.values())),
            str(each.traffic.arms["canary"]),
            str(sum(n for status, n in each.traffic.statuses.items() if status != 200)),
            f"{each.seconds:.0f}",
        )
        for each in told
    ]
    titles = ("version", "end", "why", "requests", "by the canary", "failed", "seconds")
    out.print(table(f"Canaries of {subject.line}", titles, rows))
    serving = platform().versions.pointer(subject.line).roles["production"]
    out.print(f"{subject.line} serves v{serving}; `mlops served {subject.line}` tells what served when, and why.")


def _canary(gateway: Gateway, subject: Line, version: int, reason: str) -> Told:
    """Roll a version out under traffic, and look on until the judge has ended it."""
    questions = _questions(subject, 200)
    traffic, stop = Traffic(), threading.Event()
    began = time.monotonic()
    rollout.deploy(platform(), subject, version, strategy="canary", actor=actor(), reason=reason)
    _ready(subject, version)
    callers = [
        threading.Thread(
            target=_call, args=(gateway, subject, questions, traffic, stop), name=f"caller {each}", daemon=True
        )
        for each in range(CALLERS)
    ]
    for each in callers:
        each.start()
    try:
        with console.status("") as status:
            while True:
                look(platform(), subject, platform().clock())
                now = platform().versions.pointer(subject.line).rollout
                if now is None or now.held or time.monotonic() - began > CANARY_SECONDS:
                    break
                status.update(f"v{version}: {now.share:.0%} of users, {traffic.arms['canary']} canary requests")
                stop.wait(LOOK_SECONDS)
    finally:
        stop.set()
        for each in callers:
            each.join()
    last = platform().ledger.entries(subject.line, newest=1)[-1]
    why = str(last.body.get("reason") or last.body.get("why") or "it was not decided in time")
    return Told(version, last.kind.replace("_", " "), why, time.monotonic() - began, traffic)


def _call(gateway: Gateway, line: Line, questions: Sequence[Question], traffic: Traffic, stop: threading.Event) -> None:
    """Ask one question after the other, each as some user."""
    chance = random.Random()
    with gateway.client() as client:
        while not stop.is_set():
            answer = _ask(client, line, chance.choice(questions), user=f"user-{chance.randrange(USERS)}")
            traffic.statuses[answer.status_code] += 1
            if answer.status_code == 200:
                traffic.arms[answer.json()["arm"]] += 1


def _ask(client: httpx.Client, line: Line, question: Question, *, user: str | None = None) -> httpx.Response:
    path = f"/v1/lines/{line.line}/predict"
    if question.content is not None:
        headers = question.headers | ({"X-User": user} if user else {})
        return client.post(path, content=question.content, headers=headers)
    return client.post(path, json={"input": question.document} | ({"user": user} if user else {}))


def _asked(client: httpx.Client, line: Line) -> tuple[object, ...]:
    """Ask a line its first golden item, once its model has loaded."""
    (question,) = _questions(line, 1)
    deadline = time.monotonic() + START_SECONDS
    answer = _ask(client, line, question)
    while answer.status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.2)
        answer = _ask(client, line, question)
    if answer.status_code != 200:
        raise PlatformError(f"{line.line} did not answer: {answer.text}", "`mlops doctor` may say why.")
    took, again = time.perf_counter(), _ask(client, line, question).json()
    milliseconds = f"{1000 * (time.perf_counter() - took):.1f}"
    family = platform().family(line.family)
    return line.line, question.text, family.show(again["output"]), f"v{again['version']}", milliseconds


def _questions(line: Line, count: int) -> list[Question]:
    golden = next(each for each in evaluation_sets(platform(), line) if each.kind == "golden")
    folder = platform().store.folder(golden.dataset)
    return [_question(folder, item) for item in itertools.islice(read_items(folder), count)]


def _question(folder: Path, item: Item) -> Question:
    given = item_input(folder, item)
    if isinstance(given, Path):
        return Question(given.read_bytes(), None, {"Content-Type": MEDIA[given.suffix.lower()]}, given.name)
    return Question(None, given, {}, shown(folder, item).text[:60])


def _ready(line: Line, version: int) -> None:
    """Wait until the gateway has loaded a version: traffic that nobody could judge says nothing."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for beat in platform().watch.gateways(platform().clock() - timedelta(seconds=5)):
            if any(each.version == version and each.state == "ready" for each in beat.lines.get(line.line, ())):
                return
        time.sleep(0.1)
    raise PlatformError(f"The gateway did not load version {version} of {line.line}.", "Its log says why.")


@contextmanager
def _gateway(faults: Sequence[str]) -> Iterator[Gateway]:
    """Run a gateway of this platform on a free port until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = read_settings().home
    (home / "logs").mkdir(parents=True, exist_ok=True)
    injected = [part for fault in faults for part in ("--inject", fault)]
    command = [
        sys.executable,
        "-m",
        "mlops_assets.cli",
        "serve",
        "--port",
        str(port),
        "--no-watch",
        "--rate",
        str(RATE),
        *injected,
    ]
    with (home / "logs" / "demo-gateway.log").open("ab") as log:
        environment = os.environ | process_environment()
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        with console.status("starting the gateway ..."):
            _wait(url, process)
        with suppress(NotFound):  # the key of an earlier demo
            keys.revoke(platform(), CALLER, actor=actor())
        yield Gateway(url, keys.issue(platform(), CALLER, "contributor", days=1, actor=actor())[0])
    finally:
        process.terminate()
        process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/pipeline/status", timeout=2).status_code == 401:
                return
        time.sleep(0.1)
    raise PlatformError("The demo's gateway did not start.", f"See {read_settings().home / 'logs'}.")
