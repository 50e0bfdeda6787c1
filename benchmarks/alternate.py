"""Two ways of doing the same work, timed in turn: the only kind of speed figure this repository states.

A shared machine changes its pace from minute to minute, so a time alone means little. Here A and B run alternately
(A B A B ...), each round gives one ratio, and the figure is the median of the ratios with its 90 % interval.
The load average is kept beside it, and A is held against itself: a run whose `control` leaves 0.95-1.05 was disturbed.
"""

import itertools
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import quantile_test


@dataclass(frozen=True)
class Ratio:
    """How many times longer A takes than B: the speed-up of B over A.

    `low` and `high` are the 90 % interval of the median by order statistics (exact, and wide for few rounds);
    `a_seconds` and `b_seconds` medians of one call; `control` the median ratio of neighbouring rounds of A;
    `load` the 1-minute load average at the end.
    """

    median: float
    low: float
    high: float
    a_seconds: float
    b_seconds: float
    control: float
    load: float
    rounds: int

    @property
    def quiet(self) -> bool:
        """Whether A against A stayed within 5 %; else the run should be repeated."""
        return 0.95 <= self.control <= 1.05

    def __str__(self) -> str:
        noise = "" if self.quiet else f", DISTURBED (A against A {self.control:.2f})"
        return (
            f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}]  "
            f"(A {self.a_seconds:.4g} s, B {self.b_seconds:.4g} s, {self.rounds} rounds, load {self.load:.2f}{noise})"
        )


def seconds(work: Callable[[], Any]) -> float:
    """Return the wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(a: Callable[[], Any], b: Callable[[], Any], rounds: int = 7) -> Ratio:
    """Time `a` and `b` alternately, after one untimed call of each, and return seconds of A per second of B."""
    return ratio(lambda: seconds(a), lambda: seconds(b), rounds)


def ratio(a: Callable[[], float], b: Callable[[], float], rounds: int = 7) -> Ratio:
    """Do the same where `a` and `b` return the seconds to compare, such as a latency.

    Raises ValueError below 5 rounds: fewer hold no 90 % interval of a median.
    """
    if rounds < 5:
        raise ValueError(f"{rounds} rounds cannot give a 90 % interval; use 5 or more, 7 for a figure that is stated.")
    a()
    b()
    times = [(a(), b()) for _ in range(rounds)]
    ratios = [a_time / b_time for a_time, b_time in times]
    interval = quantile_test(ratios, q=0, p=0.5).confidence_interval(0.9)
    a_times = [a_time for a_time, _ in times]
    return Ratio(
        median=statistics.median(ratios),
        low=float(interval.low),
        high=float(interval.high),
        a_seconds=statistics.median(a_times),
        b_seconds=statistics.median(b_time for _, b_time in times),
        control=statistics.median(after / before for before, after in itertools.pairwise(a_times)),
        load=os.getloadavg()[0],
        rounds=rounds,
    )


def show(figures: dict[str, Ratio | float | str], as_json: bool) -> None:
    """Print the figures of a benchmark: a line each, or one JSON document."""
    if as_json:
        print(json.dumps({name: asdict(x) if isinstance(x, Ratio) else x for name, x in figures.items()}, indent=2))
    else:
        for name, figure in figures.items():
            print(f"{name}: {figure}")
