"""Whether a version gives the labels in other shares than the one it would replace, beyond what golden showed.

The canary's share of each label is held against the concurrent stable arm's, plus what golden showed, plus the margin
for disagreement: two versions that answer a share d of requests differently differ by at most d in any label's share.
"""

import math
from collections.abc import Mapping

import numpy as np
from pydantic import Field

from mlops_assets.core import anytime
from mlops_assets.core.records.base import Record

FIRST = 50  # labelled answers of the stable arm after which its shares are taken, and taken anew
CERTAIN = 0.95  # a larger share than that is no evidence of anything

Tallies = dict[str, tuple[int, int]]


class LabelMix(Record):
    """Labels of both arms, and for each label the canary's answers that have it and that have not."""

    stable: dict[str, int] = Field(default={})
    canary: dict[str, int] = Field(default={})
    allowed: dict[str, float] = Field(default={}, description="Largest share of the canary's answers that is no harm")
    order: tuple[str, ...] = Field(default=(), description="The labels in the order in which they were first judged")
    tallies: dict[str, Tallies] = Field(default={})
    judged: int = Field(default=0, description="The canary's answers that were held against what is allowed")
    crowd: dict[int, int] = Field(default={})
    peak: float = 0.0

    @property
    def log_e(self) -> float:
        """The logarithm of the labels' e-values, weighted by 1 / ((i + 1) (i + 2)) in the order they turned up."""
        effect = anytime.design_effect(self.crowd, self.judged)
        logs = [
            anytime.log_e(self.tallies[label], effect) - math.log((at + 1) * (at + 2))
            for at, label in enumerate(self.order)
        ]
        return float(np.logaddexp.reduce([*logs, -math.log(len(logs) + 1)]))


class Labels:
    """The mix of labels that is being added to.

    `more` is by how much the evaluation saw the canary's share of a label differ, `margin` what is allowed beyond.
    """

    def __init__(self, mix: LabelMix, more: Mapping[str, float], margin: float) -> None:
        self._more, self._margin = more, margin
        self._stable, self._canary, self._allowed = dict(mix.stable), dict(mix.canary), dict(mix.allowed)
        self._tallies = {label: dict(mix.tallies[label]) for label in mix.order}
        self._judged, self._crowd, self._peak = mix.judged, dict(mix.crowd), mix.peak
        self._n = sum(self._stable.values())

    def add(self, canary: bool, label: str, who: str) -> None:
        """Add a labelled answer of either arm."""
        if not canary:
            self._stable[label] = self._stable.get(label, 0) + 1
            self._n += 1
            if self._n % FIRST == 0:
                self._allowed = {each: self._allow(each) for each in {**self._stable, **self._canary}}
            return
        self._canary[label] = self._canary.get(label, 0) + 1
        if not self._allowed:
            return
        self._allowed.setdefault(label, self._allow(label))
        if not anytime.joined(self._crowd, who, most=1 + self._judged * anytime.LARGEST_PART):
            return
        self._judged += 1
        for each, p in self._allowed.items():
            if p <= CERTAIN:
                tallies = self._tallies.setdefault(each, {})
                hits, misses = tallies.get(f"{p}", (0, 0))
                tallies[f"{p}"] = (hits + 1, misses) if each == label else (hits, misses + 1)

    def done(self) -> LabelMix:
        """Return the mix, looked at."""
        mix = LabelMix(
            stable=self._stable,
            canary=self._canary,
            allowed=self._allowed,
            order=tuple(self._tallies),
            tallies=self._tallies,
            judged=self._judged,
            crowd=self._crowd,
        )
        return mix.model_copy(update={"peak": max(self._peak, mix.log_e)})

    def _allow(self, label: str) -> float:
        more = max(0.0, self._more.get(label, 0.0)) + self._margin
        return math.ceil(100 * (self._stable.get(label, 0) / self._n + more)) / 100
