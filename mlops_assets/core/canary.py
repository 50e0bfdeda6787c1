"""The judge of a rollout: what it has seen of two versions, what that is evidence of, and the verdict of three values.

It never acts, and knows neither clocks nor databases: `observe` takes answers in the order in which they were stored,
in pieces of any size, and `judge` says what follows. The stable arm is always the concurrent one. Each signal has its
share of `ALPHA`, so that all together take back at most 1 % of versions that harm nobody, whenever and how often they
are looked at (a union bound over the e-processes of `anytime`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from mlops_assets.core import anytime, latencies, thresholds
from mlops_assets.core.anytime import Evidence, Gathering, joined
from mlops_assets.core.bunches import Bunches, Bunching
from mlops_assets.core.label_mix import CERTAIN, LabelMix, Labels
from mlops_assets.core.records.base import Record
from mlops_assets.core.thresholds import Slowness, Thresholds

Signal = Literal["errors", "latency_p95", "latency_p99", "agreement", "class_mix", "corrections"]
ALPHA: Mapping[Signal, float] = {
    "errors": 0.0055,
    "latency_p99": 0.0025,
    "latency_p95": 0.0007,
    "agreement": 0.0005,
    "class_mix": 0.0005,
    "corrections": 0.0003,
}
SPLIT_ALPHA = 0.001  # of calling the split of traffic broken
BOUND_ALPHA = 0.05  # of promoting a version that is worse than a margin allows, each
LEANING = 1.0  # log10 of an e-value that speaks against a version: no further step meanwhile
MOMENTS = 8  # with slow answers of the canary, below which they may be one pause of its process


class Seen(NamedTuple):
    """One answer: whether the new version gave it, to whom (a user, else the request itself), and how it went.

    `moment` names the tenth of a second it was given in (empty: that of no other answer); the latency of one that is
    `cold`, by a process that has just begun, counts for neither arm.
    """

    canary: bool
    who: str
    failed: bool
    latency_ms: float
    label: str | None = None
    moment: str = ""
    cold: bool = False


class Bound(NamedTuple):
    """By how much a canary is worse at most, in shares of `n` requests that are worth n / `effect` independent ones."""

    most: float | None
    n: int
    effect: float


class Count(Record):
    """What one arm did; `timed` are the successful answers whose latency was held against thresholds."""

    requests: int = 0
    errors: int = 0
    timed: int = 0
    over_p95: int = 0
    over_p99: int = 0


class StepSeen(Record):
    """The two arms during one step of a rollout."""

    share: float
    canary: Count = Count()
    stable: Count = Count()


class Crowds(Record):
    """Who asked, and whose requests went wrong or took long: sketches of all, nobody capped (see `anytime`)."""

    requests: dict[int, int] = Field(default={})
    errors: dict[int, int] = Field(default={})
    latency_p95: dict[int, int] = Field(default={})
    latency_p99: dict[int, int] = Field(default={})


class Slow(Record):
    """How the slow answers bunch, by threshold."""

    latency_p95: Bunches = Bunches()
    latency_p99: Bunches = Bunches()


class Expected(Record):
    """What the evaluation says of the two versions: shares of golden items; None and empty where it is not known."""

    disagreement: float | None = Field(default=None, ge=0, le=1, description="Golden items answered differently")
    labels: dict[str, float] = Field(default={}, description="Candidate's share of a label minus production's")


class Trial(Record):
    """All that was seen of a rollout, and its evidence; round-trips through JSON."""

    expected: Expected = Expected()
    disagreement_margin: float = 0.15
    steps: tuple[StepSeen, ...] = ()
    thresholds: Thresholds = Thresholds()
    errors: Evidence = Evidence()
    latency_p95: Evidence = Evidence()
    latency_p99: Evidence = Evidence()
    agreement: Evidence = Evidence()
    corrections: Evidence = Evidence()
    split: Evidence = Evidence()
    mix: LabelMix = LabelMix()
    crowds: Crowds = Crowds()
    slow: Slow = Slow()

    def total(self, arm: Literal["canary", "stable"]) -> Count:
        """Return what an arm did in all steps."""
        counts = [getattr(step, arm) for step in self.steps]
        return Count(**{name: sum(getattr(each, name) for each in counts) for name in Count.model_fields})


def begin(expected: Expected, disagreement_margin: float, before: latencies.Latencies) -> Trial:
    """Return the trial of a rollout that begins; `before` is how long production's latest answers took."""
    return Trial(expected=expected, disagreement_margin=disagreement_margin, thresholds=thresholds.begun(before))


def step(trial: Trial, share: float) -> Trial:
    """Return the trial at its next step: from now on the canary has `share` of the users."""
    return trial.model_copy(update={"steps": (*trial.steps, StepSeen(share=share))})


def observe(trial: Trial, answers: Iterable[Seen]) -> Trial:
    """Return the trial after answers of its present step, in order; it is the same however they are cut in pieces."""
    now = trial.steps[-1]
    p = now.share
    counts = {True: now.canary.model_dump(), False: now.stable.model_dump()}
    errors, split = Gathering(trial.errors), Gathering(trial.split)
    slow95, slow99 = Gathering(trial.latency_p95), Gathering(trial.latency_p99)
    slowness = Slowness(trial.thresholds)
    crowds = trial.crowds.model_dump()
    everybody, failing, slow, slowest = crowds.values()
    labels = Labels(trial.mix, trial.expected.labels, trial.disagreement_margin)
    bunches95, bunches99 = Bunching(trial.slow.latency_p95), Bunching(trial.slow.latency_p99)
    for canary, who, failed, latency_ms, label, moment, cold in answers:
        count = counts[canary]
        landing = _landing(p, counts[True]["requests"], counts[False]["requests"])
        count["requests"] += 1
        split.add(canary, p, who)
        joined(everybody, who)
        if failed:
            count["errors"] += 1
            errors.add(canary, landing, who)
            joined(failing, who)
            continue
        if label is not None:
            labels.add(canary, label, who)
        if cold:
            continue
        bin_ = latencies.bin_of(latency_ms)
        if slowness.known:
            count["timed"] += 1
            over95, over99 = slowness.over(bin_)
            if over95:
                count["over_p95"] += 1
                slow95.add(canary, landing, who)
                bunches95.add(moment, canary)
                joined(slow, who)
            if over99:
                count["over_p99"] += 1
                slow99.add(canary, landing, who)
                bunches99.add(moment, canary)
                joined(slowest, who)
        if not canary:
            slowness.add(bin_)
    seen = now.model_copy(update={"canary": Count(**counts[True]), "stable": Count(**counts[False])})
    return trial.model_copy(
        update={
            "steps": (*trial.steps[:-1], seen),
            "thresholds": slowness.done(),
            "errors": errors.done(),
            "latency_p95": slow95.done(bunches95.effect(), enough=bunches95.moments >= MOMENTS),
            "latency_p99": slow99.done(bunches99.effect(), enough=bunches99.moments >= MOMENTS),
            "split": split.done(),
            "mix": labels.done(),
            "crowds": Crowds(**crowds),
            "slow": Slow(latency_p95=bunches95.done(), latency_p99=bunches99.done()),
        }
    )


def _landing(share: float, canary: int, stable: int) -> float:
    """Return the chance that a hit lands on the canary if it harms nobody, by what was asked before.

    That is its share; and where it was asked for three standard errors more (the split is broken, or a heavy user is
    on it), what is sure of that, so that more requests are not taken for more harm.
    """
    n = canary + stable
    if canary <= share * n:
        return share
    sure = canary / n - 3 * math.sqrt(share * (1 - share) / n)
    return share if sure <= share else min(math.ceil(100 * sure) / 100, CERTAIN)


def compared(trial: Trial, pairs: Sequence[tuple[str, bool]]) -> Trial:
    """Return the trial after copies of requests: by whom, and whether both versions said the same."""
    if trial.expected.disagreement is None or not pairs:
        return trial
    allowed = min(trial.expected.disagreement + trial.disagreement_margin, CERTAIN)
    gathering = Gathering(trial.agreement)
    for who, agrees in pairs:
        gathering.add(not agrees, allowed, who)
    return trial.model_copy(update={"agreement": gathering.done()})


def corrected(trial: Trial, complaints: Sequence[tuple[str, bool, float]]) -> Trial:
    """Return the trial after corrections and bad ratings: by whom, of the canary's answer or not, its share then."""
    if not complaints:
        return trial
    gathering = Gathering(trial.corrections)
    for who, canary, share in complaints:
        gathering.add(canary, share, who)
    return trial.model_copy(update={"corrections": gathering.done()})


def log10_e(trial: Trial, signal: Signal, *, peak: bool = False) -> float:
    """Return log10 of a signal's e-value, now or at its largest; it takes back at `log10_limit`."""
    if signal == "class_mix":
        natural = trial.mix.peak if peak else trial.mix.log_e
    else:
        evidence: Evidence = getattr(trial, signal)
        natural = evidence.peak if peak else evidence.log_e
    return natural / math.log(10)


def log10_limit(signal: Signal) -> float:
    """Return log10 of the e-value at which a signal takes a version back."""
    return -math.log10(ALPHA[signal])


def split_p(trial: Trial) -> float:
    """Return the p-value, valid at any time, of traffic being split as it should be, with users counted as users."""
    return min(1.0, math.exp(-anytime.two_sided(trial.split)))


def bounds(trial: Trial) -> dict[Signal, Bound]:
    """Return the upper bounds of how much worse the canary is in the present step, valid at any time.

    Steps are not added up: where the canary had other shares of better and worse hours, their sum would compare hours.
    """
    found: dict[Signal, Bound] = {}
    counted: dict[Signal, tuple[str, str]] = {
        "errors": ("errors", "requests"),
        "latency_p95": ("over_p95", "timed"),
        "latency_p99": ("over_p99", "timed"),
    }
    for signal, names in counted.items():
        hits, n = (
            sum(getattr(arm, name) for step in trial.steps for arm in (step.canary, step.stable)) for name in names
        )
        effect = anytime.clustering(getattr(trial.crowds, signal), trial.crowds.requests, hits / n if n else 0.0, n)
        effect += getattr(trial, signal).dependence - 1
        now = trial.steps[-1]
        ours, theirs = ((getattr(arm, names[0]), getattr(arm, names[1])) for arm in (now.canary, now.stable))
        most = anytime.upper_bound(ours, theirs, alpha=BOUND_ALPHA, effect=effect)
        found[signal] = Bound(most, ours[1] + theirs[1], effect)
    return found


def disagreements(trial: Trial) -> tuple[int, int]:
    """Return how many copies were answered differently, of how many."""
    return trial.agreement.hits, trial.agreement.n
