"""Tests and bounds that may be looked at after every observation, and stopped at any time (anytime-valid inference).

The evidence against "an observation is a hit with probability at most p" is the likelihood of what was seen under a
mixture of larger odds, over its likelihood under p itself (Robbins 1970). Odds are raised by the factor 1 / (1 - w);
w, the part of the hits that is harm (the attributable fraction), has the prior Beta(5, 3), about ratios of 2 to 5:

    E = integral of Beta(w; 5, 3) * product over observations of
        hit:  1 / (1 - (1 - p) w)        miss:  (1 - w) / (1 - (1 - p) w)

Under the hypothesis E is a non-negative supermartingale from 1, so that P(E >= 1/alpha, ever) <= alpha (Ville 1939;
Howard and Ramdas 2021; Johari et al. 2022 for experiments). Which arm an error lands on, given that there is one, is
such an observation with p the canary's share of traffic (the conditional binomial test: Lindon and Malek 2022). p may
change from one observation to the next as long as it is known before. The integral is a Gauss-Jacobi sum: whatever its
accuracy, a weighted sum over a few w is a mixture itself, and as valid.

Observations of one user are not independent: they land on the same arm. Nobody counts for more than one observation
plus a fiftieth of all, and the likelihood ratio is raised to the power 1 / (design effect), the sum of m(u)^2 over the
sum of m(u) for users with m(u) observations (Kish 1965; Rao and Scott 1992). For users with one each that is 1 and the
guarantee is exact, else it is, approximately, what it would be if every user counted once. Counts and their squares
come of a count-sketch (Charikar, Chen and Farach-Colton 2002), so that no list of users is kept.
"""

import math
from collections.abc import Mapping
from functools import cache
from zlib import crc32

import numpy as np
from pydantic import Field
from scipy.optimize import root_scalar
from scipy.special import roots_jacobi

from mlops_assets.core.records.base import Record

PRIOR = (5, 3)  # of the attributable fraction
NODES = 32
BUCKETS = 512  # of a sketch; the relative error of its sum of squares is sqrt(2 / BUCKETS), 6 %
LARGEST_PART = 1 / 50  # of all observations that one user may count for
TUNED_FOR = 1_000  # observations for which a bound is narrowest
TINY = 1e-9

Crowd = Mapping[int, int]  # bucket to signed number of observations


class Evidence(Record):
    """All that an e-value is made of: hits and misses by their probability under the hypothesis, and by whom."""

    tallies: dict[str, tuple[int, int]] = Field(default={}, description="Probability to hits and misses")
    crowd: dict[int, int] = Field(default={}, description="Sketch of who made them")
    dependence: float = Field(default=1.0, description="Observations are fewer by it, whoever made them")
    peak: float = 0.0

    @property
    def hits(self) -> int:
        """How many observations were hits."""
        return sum(hits for hits, _ in self.tallies.values())

    @property
    def n(self) -> int:
        """How many observations there were."""
        return sum(hits + misses for hits, misses in self.tallies.values())

    @property
    def log_e(self) -> float:
        """The natural logarithm of the e-value now; `peak` is the largest it was when somebody looked."""
        return log_e(self.tallies, design_effect(self.crowd, self.n) + self.dependence - 1)


class Gathering:
    """Evidence that is being added to, one observation at a time; it is as valid however the stream is cut."""

    def __init__(self, evidence: Evidence) -> None:
        self._tallies = {p: list(counts) for p, counts in evidence.tallies.items()}
        self._n = evidence.n
        self._crowd = dict(evidence.crowd)
        self._peak = evidence.peak

    def add(self, hit: bool, p: float, who: str) -> None:
        """Add an observation that is a hit with probability at most `p` (0 < p < 1) under the hypothesis."""
        if joined(self._crowd, who, most=1 + self._n * LARGEST_PART):
            self._tallies.setdefault(f"{p:.6g}", [0, 0])[not hit] += 1
            self._n += 1

    def done(self, dependence: float = 1.0, *, enough: bool = True) -> Evidence:
        """Return the evidence, looked at; what is not `enough` has no peak."""
        added = Evidence(
            tallies={p: (counts[0], counts[1]) for p, counts in self._tallies.items()}, crowd=self._crowd,
            dependence=dependence, peak=self._peak,
        )  # fmt: skip
        return added.model_copy(update={"peak": max(self._peak, added.log_e)}) if enough else added


def log_e(tallies: Mapping[str, tuple[int, int]], effect: float = 1.0) -> float:
    """Return the logarithm of the e-value of hits and misses by their probability; `effect` is the design effect."""
    w, weights = _prior()
    total = np.zeros(NODES)
    for p, (hits, misses) in tallies.items():
        total += misses * np.log1p(-w) - (hits + misses) * np.log1p(-(1 - float(p)) * w)
    return float(np.logaddexp.reduce(total / effect + weights))


def two_sided(evidence: Evidence) -> float:
    """Return the logarithm of the mean of two e-values: hits are too many, or too few."""
    effect = design_effect(evidence.crowd, evidence.n)
    few = {repr(1 - float(p)): (misses, hits) for p, (hits, misses) in evidence.tallies.items()}
    return float(np.logaddexp(log_e(evidence.tallies, effect), log_e(few, effect)) - math.log(2))


def joined(crowd: dict[int, int], who: str, *, most: float = math.inf) -> bool:
    """Count one observation of somebody, unless `most` are counted already; say whether it was."""
    code = crc32(who.encode())
    bucket, sign = code % BUCKETS, 1 if code & 0x80000000 else -1
    count = crowd.get(bucket, 0)
    if sign * count >= most:
        return False
    crowd[bucket] = count + sign
    return True


def design_effect(crowd: Crowd, n: int) -> float:
    """Return by how much `n` observations are fewer independent ones: 1 if everybody made one, n if one made all."""
    return max(1.0, sum(count * count for count in crowd.values()) / n) if n else 1.0


def clustering(hits: Crowd, all_: Crowd, rate: float, n: int) -> float:
    """Return by how much the hits among `n` observations vary more between users than independent ones would (>= 1)."""
    if not 0 < rate < 1:
        return 1.0
    spread = sum((hits.get(bucket, 0) - rate * all_.get(bucket, 0)) ** 2 for bucket in {*hits, *all_})
    return max(1.0, spread / (n * rate * (1 - rate)))


def upper_bound(canary: tuple[int, int], stable: tuple[int, int], *, alpha: float, effect: float = 1.0) -> float | None:
    """Return a bound, at least 0, that the canary's rate minus the stable one's is below at all times but for `alpha`.

    Each arm is (hits, observations); None while one has no observation. A normal mixture (Robbins 1970; Howard et al.
    2021), one-sided as in Waudby-Smith et al. 2024 (time-uniform central limit theory), with the variance that the
    bound itself would imply, so that no hits in a few observations promise nothing.
    """
    (k, n), (j, m) = canary, stable
    if not n or not m:
        return None
    ours, theirs = k / n, j / m
    time = n * m / (n + m) / effect
    tuned = (-2 * math.log(2 * alpha) + math.log(1 - 2 * math.log(2 * alpha))) / TUNED_FOR
    grown = time * tuned + 1
    z = math.sqrt(2 * grown / (time * tuned) * math.log1p(math.sqrt(grown) / (2 * alpha)))

    def excess(bound: float) -> float:
        rate = min(max(ours, theirs + bound), 1.0)
        variance = rate * (1 - rate) / n + theirs * (1 - theirs) / m
        return ours - theirs + z * math.sqrt(variance * effect) - bound

    lower = max(ours - theirs, 0.0) + TINY
    if excess(1.0) >= 0:
        return 1.0
    return 0.0 if excess(lower) <= 0 else float(root_scalar(excess, bracket=(lower, 1.0)).root)


@cache
def _prior() -> tuple[np.ndarray, np.ndarray]:
    """Return the values of w, and the logarithms of their weights, which sum to 1."""
    a, b = PRIOR
    nodes, weights = roots_jacobi(NODES, b - 1, a - 1)
    return (nodes + 1) / 2, np.log(weights / weights.sum())
