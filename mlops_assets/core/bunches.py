"""Answers that are slow together: a pause of a process makes many answers slow at once, and is one thing that happened.

Slow answers are counted by the moment in which they were given (a tenth of a second). How much more the canary's part
of them varies from moment to moment than if each had landed by itself is their overdispersion, the sum of (h - r a)^2
over m moments with a slow answers, h of them the canary's, over n r (1 - r), where r = k / n is the canary's part of
all: 1 if they have nothing to do with each other, though both arms be slow at the same time, and about as many as a
pause makes slow if pauses of one process make them. What chance makes of it, two standard errors of sqrt(2 / m) each,
is taken off.
"""

import math

from pydantic import Field

from mlops_assets.core.records.base import Record


class Bunches(Record):
    """Sums over the moments so far, and the moment that is still open; a hit is a slow answer of the canary."""

    moment: str = Field(default="", description="The open one; empty: every answer is a moment of its own")
    answers: int = Field(default=0, description="Slow ones, in the open moment")
    hits: int = Field(default=0, description="Of these, the canary's")
    moments: int = Field(default=0, description="Moments with a hit")
    sums: tuple[int, int, int, int, int, int] = Field(
        default=(0, 0, 0, 0, 0, 0), description="Over closed moments: 1, answers, hits, answers^2, both, hits^2"
    )


class Bunching:
    """Bunches that are being added to, one answer at a time, in order."""

    def __init__(self, bunches: Bunches) -> None:
        self._moment, self._a, self._h = bunches.moment, bunches.answers, bunches.hits
        self._sums = list(bunches.sums)
        self.moments = bunches.moments

    def add(self, moment: str, hit: bool) -> None:
        """Add a slow answer, the canary's or not."""
        if moment != self._moment or not moment:
            self._close()
            self._moment = moment
        self._a += 1
        if hit:
            self.moments += not self._h
            self._h += 1

    def effect(self) -> float:
        """Return by how much hits are fewer independent ones (>= 1)."""
        m, n, k, aa, ah, hh = (kept + now for kept, now in zip(self._sums, self._open(), strict=True))
        if not 0 < k < n:
            return 1.0
        rate = k / n
        dispersion = (hh - 2 * rate * ah + rate * rate * aa) / (n * rate * (1 - rate))
        return max(1.0, dispersion - 2 * math.sqrt(2 / m))

    def done(self) -> Bunches:
        """Return what was added."""
        m, n, k, aa, ah, hh = self._sums
        sums = (m, n, k, aa, ah, hh)
        return Bunches(moment=self._moment, answers=self._a, hits=self._h, moments=self.moments, sums=sums)

    def _open(self) -> tuple[int, int, int, int, int, int]:
        a, h = self._a, self._h
        return a > 0, a, h, a * a, a * h, h * h

    def _close(self) -> None:
        if self._a:
            self._sums = [kept + now for kept, now in zip(self._sums, self._open(), strict=True)]
            self._a = self._h = 0
