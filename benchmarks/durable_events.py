"""How many events a second are acknowledged, each after the fsync of its commit, on a SQLite file.

Callers are threads that send JSON through `collect` and wait for the answer before they send more; the HTTP in front of
it is not in it. The alternative is a commit for every request, by the same code, one request after the other.
Ids that clients draw at random are the hard case: each falls somewhere else in the index of ids.
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
from dataclasses import replace
from pathlib import Path

from alternate import Ratio, alternate, show

from mlops_assets import wiring
from mlops_assets.lifecycle.collecting import collect

EVENT = {"kind": "usage", "type": "generation", "command": "generate_chords", "key": "10B", "bars": 8, "success": True}
BATCH = 100
ROUNDS = 5
AT_ONCE = nullcontext()


def document(random_id: bool) -> str:
    """Return an event as a client sends it."""
    return json.dumps(EVENT | {"event_id": uuid.uuid4().hex} if random_id else EVENT)


def work(
    post: Callable[[list[str]], None], callers: int, requests: int, events: int = 1, *, random_ids: bool = True
) -> list[float]:
    """Let callers post at once, each `requests` times; return the seconds that each request took."""

    def one(_: int) -> list[float]:
        took = []
        for _ in range(requests):
            sent = [document(random_ids) for _ in range(events)]
            start = time.perf_counter()
            post(sent)
            took.append(time.perf_counter() - start)
        return took

    with ThreadPoolExecutor(callers) as pool:
        return [each for took in pool.map(one, range(callers)) for each in took]


def rate(run: Callable[[], list[float]], events: int) -> tuple[float, float]:
    """Return the median over rounds of acknowledged events a second, and p99 of a request in milliseconds over all."""
    run()
    rates, took = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        seconds = run()
        rates.append(len(seconds) * events / (time.perf_counter() - start))
        took += seconds
    return statistics.median(rates), statistics.quantiles(took, n=100)[98] * 1000


def main(quick: bool, as_json: bool) -> None:
    """Take single posts of 16 and 64 callers, batches, and the ratio to a commit for every request."""
    requests, batches = (10, 2) if quick else (100, 20)
    figures: dict[str, Ratio | float | str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        settings = wiring.Settings(root=Path(scratch), home=Path(scratch, "home"))
        platform = replace(wiring.platform(settings), lines=tuple)
        line = next(each for each in wiring.lines() if each.family == "preference")
        alone = threading.Lock()

        def post(documents: list[str], *, turn: AbstractContextManager[object] = AT_ONCE) -> None:
            with turn:
                assert all(each.status == "stored" for each in collect(platform, line, documents))

        for callers in (16, 64):
            each = max(1, requests * 16 // callers)
            speed, p99 = rate(lambda callers=callers, each=each: work(post, callers, each), 1)
            figures[f"single events acknowledged a second, {callers} callers"] = round(speed)
            figures[f"p99 milliseconds, {callers} callers"] = round(p99, 1)
        for name, random_ids in (("", False), (", ids at random", True)):
            speed, _ = rate(lambda chosen=random_ids: work(post, 8, batches, BATCH, random_ids=chosen), BATCH)
            figures[f"events acknowledged a second in batches of {BATCH}, 8 callers{name}"] = round(speed)
        figures["a commit for every request / group commit, 16 callers"] = alternate(
            lambda: work(lambda sent: post(sent, turn=alone), 16, batches),
            lambda: work(post, 16, batches),
            rounds=5 if quick else 7,
        )
    show(figures, as_json)


if __name__ == "__main__":
    main("--quick" in sys.argv, "--json" in sys.argv)
