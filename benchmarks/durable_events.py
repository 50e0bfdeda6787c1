"""How many events a second are acknowledged, each after the fsync of its commit, on a SQLite file.

First through `collect`, by threads that send JSON and wait for the answer before they send more: beside a commit for
every request, by the same code, one after the other. Then over HTTP, through `mlops serve` as it is, from another
process; and once more while that is killed with -9: whatever was acknowledged is there. Targets: 2,500 single posts a
second with p99 at most 50 ms, and 30,000 events a second in batches, both over HTTP.

Learned: ids that clients draw at random are the hard case, for each falls on another page of the index of ids, and 800
of them rewrite 3 MB; ids that we make begin with the time. A row at a time, SQLite hands Python's lock back after each,
and waits for it up to 5 ms: one `INSERT ... SELECT FROM json_each` has next to no such waits.

What an event of a batch costs is processor time of one interpreter, in microseconds and alone: 2.7 strict JSON, 4.9 its
checks and id, 1.6 its row, 2 its receipt, 0.9 the answer, and SQLite with the commit from 6 (800 events together) to 13
(100). That is 18 to 26, so 38,000 to 55,000 a second where nothing else runs, and the client takes the other core.
"""

import json
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from alternate import Ratio, alternate, show
from gateway import Gateway, a_line
from load import ID, Loader, Request

from mlops_assets.core.line import Line
from mlops_assets.lifecycle.collection.collecting import collect

EVENT = {"kind": "usage", "type": "generation", "command": "generate_chords", "key": "10B", "bars": 8, "success": True}
BATCH = 100
ROUNDS = 5
AT_ONCE = nullcontext()
Posts = list[list[list[str]]]  # by caller and request


def document(random_id: bool) -> str:
    """Return an event as a client sends it."""
    return json.dumps(EVENT | {"event_id": uuid.uuid4().hex} if random_id else EVENT)


def posts(callers: int, requests: int, events: int = 1, *, random_ids: bool = True) -> Posts:
    """Return the documents of each caller's requests."""
    return [[[document(random_ids) for _ in range(events)] for _ in range(requests)] for _ in range(callers)]


def work(post: Callable[[list[str]], None], sent: Posts) -> list[float]:
    """Let callers post at once, each its requests; return the seconds that each request took."""

    def one(requests: list[list[str]]) -> list[float]:
        took = []
        for each in requests:
            start = time.perf_counter()
            post(each)
            took.append(time.perf_counter() - start)
        return took

    with ThreadPoolExecutor(len(sent)) as pool:
        return [each for took in pool.map(one, sent) for each in took]


def rate(post: Callable[[list[str]], None], make: Callable[[], Posts], events: int) -> tuple[float, float]:
    """Return the median over rounds of acknowledged events a second, and p99 of a request in milliseconds over all."""
    work(post, make())
    rates, took = [], []
    for _ in range(ROUNDS):
        sent = make()
        start = time.perf_counter()
        seconds = work(post, sent)
        rates.append(len(seconds) * events / (time.perf_counter() - start))
        took += seconds
    return statistics.median(rates), statistics.quantiles(took, n=100)[98] * 1000


def over_http(gateway: Gateway, line: Line, requests: int) -> dict[str, float]:
    """Return rates and latency of posts over HTTP."""
    figures: dict[str, float] = {}
    one, many = json.dumps(EVENT | {"event_id": ID}), json.dumps([EVENT] * BATCH)
    random = json.dumps([EVENT | {"event_id": ID}] * BATCH)
    with Loader() as loader:
        for connections in (16, 64):
            runs = [
                loader.closed(collecting(gateway, line, one), connections, requests=requests) for _ in range(ROUNDS)
            ]
            figures[f"single events acknowledged a second over HTTP, {connections} connections"] = round(
                statistics.median(each.per_second for each in runs)
            )
            figures[f"p99 milliseconds over HTTP, {connections} connections"] = round(
                statistics.median(each.p99_ms for each in runs), 1
            )
        for name, body in (("", many), (", ids at random", random)):
            runs = [loader.closed(collecting(gateway, line, body), 8, requests=requests // 20) for _ in range(ROUNDS)]
            figures[f"events acknowledged a second over HTTP in batches of {BATCH}{name}"] = round(
                statistics.median(each.per_second for each in runs) * BATCH
            )
    return figures


def killed(gateway: Gateway, line: Line, seconds: float) -> tuple[int, int]:
    """Kill the gateway under load; return how many events it acknowledged, and how many of those are not there."""
    request = collecting(gateway, line, json.dumps(EVENT | {"event_id": ID}))
    with Loader() as loader, loader.meanwhile(request, connections=64, seconds=60) as found:
        time.sleep(seconds)
        gateway.process.kill()
    (load,) = found
    assert load.failed, "the gateway was killed while requests were under way"
    kept = gateway.platform.events.find(line.line, load.acknowledged)
    return len(load.acknowledged), len(set(load.acknowledged) - kept.keys())


def collecting(gateway: Gateway, line: Line, body: str) -> Request:
    """Return a post of events."""
    url = f"http://127.0.0.1:{gateway.port}/v1/lines/{line.line}/events"
    return Request(url, body, gateway.keys, wanted='"stored"')


def main(quick: bool, as_json: bool) -> None:
    """Take single posts, batches and the ratio to a commit for every request; then over HTTP, and under a kill."""
    requests, batches = (10, 2) if quick else (100, 20)
    figures: dict[str, Ratio | float | str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        line = a_line(Path(scratch), "collecting")
        gateway = Gateway(Path(scratch), [line])
        alone = threading.Lock()

        def post(documents: list[str], *, turn: AbstractContextManager[object] = AT_ONCE) -> None:
            with turn:
                assert all(each.status == "stored" for each in collect(gateway.platform, line, documents))

        for callers in (16, 64):
            each = max(1, requests * 16 // callers)
            speed, p99 = rate(post, lambda callers=callers, each=each: posts(callers, each), 1)
            figures[f"single events acknowledged a second, {callers} callers"] = round(speed)
            figures[f"p99 milliseconds, {callers} callers"] = round(p99, 1)
        for name, random_ids in (("", False), (", ids at random", True)):
            speed, _ = rate(post, lambda chosen=random_ids: posts(8, batches, BATCH, random_ids=chosen), BATCH)
            figures[f"events acknowledged a second in batches of {BATCH}, 8 callers{name}"] = round(speed)
        figures["a commit for every request / group commit, 16 callers"] = alternate(
            lambda: work(lambda sent: post(sent, turn=alone), posts(16, batches)),
            lambda: work(post, posts(16, batches)),
            rounds=5 if quick else 7,
        )
        with gateway:
            figures |= over_http(gateway, line, requests * 50)
            acknowledged, lost = killed(gateway, line, 1 if quick else 5)
        figures["events acknowledged before kill -9"] = acknowledged
        figures["of which were lost"] = lost
    show(figures, as_json)


if __name__ == "__main__":
    main("--quick" in sys.argv, "--json" in sys.argv)
