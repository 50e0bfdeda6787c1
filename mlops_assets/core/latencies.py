"""Latencies counted in bins that grow by 2 %: a quantile is within 1 %, whatever was seen (DDSketch, Masson 2019)."""

import math
from collections.abc import Mapping

GROWTH = 1.02
LEAST_MS = 1e-3
_LOG = math.log(GROWTH)

Latencies = Mapping[int, float]  # bin to how many fell into it, as whole numbers or decayed ones


def bin_of(milliseconds: float) -> int:
    """Return the bin of a latency; all that is at most a microsecond is in the first."""
    return 0 if milliseconds <= LEAST_MS else math.ceil(math.log(milliseconds / LEAST_MS) / _LOG)


def upper_edge(bin_: int) -> float:
    """Return the most milliseconds that a bin holds."""
    return LEAST_MS * GROWTH**bin_


def quantile(latencies: Latencies, q: float) -> int | None:
    """Return the bin that the q-quantile falls into, None of nothing: at most a part 1 - q is above that bin."""
    rest = (1 - q) * sum(latencies.values()) * (1 + 1e-12)
    for bin_ in sorted(latencies, reverse=True):
        rest -= latencies[bin_]
        if rest < 0:
            return bin_
    return None


def milliseconds(latencies: Latencies, q: float) -> float | None:
    """Return the q-quantile in milliseconds, to 1 %; None of nothing."""
    found = quantile(latencies, q)
    return None if found is None else upper_edge(found) / math.sqrt(GROWTH)


def mean(latencies: Latencies) -> float | None:
    """Return the mean in milliseconds, to 1 %; None of nothing."""
    n = sum(latencies.values())
    return sum(upper_edge(bin_) * many for bin_, many in latencies.items()) / math.sqrt(GROWTH) / n if n else None


def merged(*parts: Latencies) -> dict[int, float]:
    """Return latencies counted together."""
    total: dict[int, float] = {}
    for part in parts:
        for bin_, many in part.items():
            total[bin_] = total.get(bin_, 0) + many
    return total
