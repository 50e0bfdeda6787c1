"""What is slow: more than the p95 and p99 of production's latest answers, frozen for a block of them.

So what is slow is known before an answer is given, as an e-value wants it, and follows the load of the day.
"""

from collections.abc import Mapping

from pydantic import Field

from mlops_assets.core import latencies
from mlops_assets.core.latencies import Latencies
from mlops_assets.core.records.base import Record

BLOCK = 500  # answers of production after which thresholds are taken anew
DECAY = 0.8  # of what the thresholds rest on, a block: the latest 2,500 answers or so
MATERIAL, MATERIAL_MS = 1.1, 0.25  # slower than production's quantile by less harms nobody


class Thresholds(Record):
    """What is slow, in bins of `latencies`; None as long as too little was seen."""

    window: dict[int, float] = Field(default={}, description="Bin to answers, decayed by a block")
    block: dict[int, int] = Field(default={}, description="Of the answers since")
    p95: int | None = None
    p99: int | None = None


def begun(before: Latencies) -> Thresholds:
    """Return the thresholds by what was seen before; none by less than a block."""
    return _taken(dict(before)) if sum(before.values()) >= BLOCK else Thresholds()


class Slowness:
    """Thresholds that follow production's answers, one at a time."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._now, self._block = thresholds, dict(thresholds.block)
        self._filled = sum(self._block.values())
        self._set()

    def over(self, bin_: int) -> tuple[bool, bool]:
        """Say whether an answer is slower than p95 and than p99; only if thresholds are `known`."""
        return bin_ > self._p95, bin_ > self._p99

    def add(self, bin_: int) -> None:
        """Add a successful answer of production."""
        self._block[bin_] = self._block.get(bin_, 0) + 1
        self._filled += 1
        if self._filled >= BLOCK:
            kept = {each: round(DECAY * many, 3) for each, many in self._now.window.items()}
            window = {each: many for each, many in kept.items() if many >= 0.01}
            self._now = _taken(latencies.merged(window, self._block))
            self._block, self._filled = {}, 0
            self._set()

    def done(self) -> Thresholds:
        """Return what is known now."""
        return self._now.model_copy(update={"block": self._block})

    def _set(self) -> None:
        p95, p99 = self._now.p95, self._now.p99
        self.known = p95 is not None and p99 is not None
        self._p95, self._p99 = p95 or 0, p99 or 0


def _taken(window: Mapping[int, float]) -> Thresholds:
    return Thresholds(window=dict(window), p95=_material(window, 0.95), p99=_material(window, 0.99))


def _material(window: Latencies, q: float) -> int | None:
    bin_ = latencies.quantile(window, q)
    if bin_ is None:
        return None
    milliseconds = latencies.upper_edge(bin_)
    return latencies.bin_of(max(milliseconds * MATERIAL, milliseconds + MATERIAL_MS))
