"""What follows of a trial: take the version back, give it to more users, promote it, or wait; and why, in numbers."""

from collections.abc import Sequence

from pydantic import Field

from mlops_assets.core import canary
from mlops_assets.core.canary import Signal, Trial
from mlops_assets.core.line import Release
from mlops_assets.core.records.base import Record
from mlops_assets.core.serving import CanaryVerdict

TITLES: dict[Signal, str] = {
    "errors": "errors",
    "latency_p95": "answers slower than production's p95",
    "latency_p99": "answers slower than production's p99",
    "agreement": "copies answered differently",
    "class_mix": "the mix of labels",
    "corrections": "corrections and bad ratings",
}


class Weighed(Record):
    """One signal as it stands; shares are of requests, and None where nothing was seen."""

    signal: Signal
    log10_e: float = Field(description="log10 of the e-value now")
    log10_peak: float = Field(description="The largest it was")
    log10_limit: float = Field(description="At which the version is taken back")
    canary: float | None = Field(description="Share of hits of the new version; of copies and complaints, of all")
    stable: float | None = Field(description="Share that it is held against")
    n: int = Field(description="Observations that the e-value rests on")
    bound: float | None = Field(default=None, description="In this step it is worse by less, at all times, with 95 %")
    worth: int | None = Field(default=None, description="Independent requests that tell as much as those of the step")
    margin: float | None = Field(default=None, description="The bound must be below it for a promotion")


class Judgement(Record):
    """The verdict on a rollout; `advance` says that it may have its next step, `broken` that its split is no split."""

    verdict: CanaryVerdict
    reasons: tuple[str, ...]
    signals: tuple[Weighed, ...]
    advance: bool = False
    broken: bool = False


def judge(
    trial: Trial, release: Release, *, minutes: float, step_minutes: float, hindrances: Sequence[str] = ()
) -> Judgement:
    """Return the verdict after `minutes` in all and `step_minutes` in the present step.

    `hindrances` are reasons from elsewhere (absolute limits of either arm), which keep it from going further.
    """
    signals = weigh(trial, release)
    harm = [_harm(each) for each in signals if each.log10_peak >= each.log10_limit]
    if harm:
        return Judgement(verdict="ROLL_BACK", reasons=tuple(harm), signals=signals)
    if broken := _broken(trial):
        return Judgement(verdict="INCONCLUSIVE", reasons=(broken,), signals=signals, broken=True)
    leaning = [_leaning(each) for each in signals if each.log10_e >= canary.LEANING]
    step = len(trial.steps) - 1
    short = _short(
        "this step", trial.steps[-1].canary.requests, release.step_requests, step_minutes, release.step_minutes
    )
    hindered = [*hindrances, *leaning, *short]
    if step < len(release.steps) - 1:
        reasons = hindered or [f"nothing speaks against more than {trial.steps[-1].share:.0%} of users"]
        return Judgement(verdict="INCONCLUSIVE", reasons=tuple(reasons), signals=signals, advance=not hindered)
    hindered += _short("all", trial.total("canary").requests, release.min_requests, minutes, release.min_minutes)
    hindered += [_loose(each) for each in signals if each.margin is not None and not _below(each.bound, each.margin)]
    if hindered:
        return Judgement(verdict="INCONCLUSIVE", reasons=tuple(hindered), signals=signals)
    proved = tuple(_proved(each) for each in signals if each.margin is not None)
    return Judgement(verdict="PROMOTE", reasons=proved, signals=signals)


def weigh(trial: Trial, release: Release) -> tuple[Weighed, ...]:
    """Return all signals, those with a margin first."""
    ours, theirs = trial.total("canary"), trial.total("stable")
    bounds = canary.bounds(trial) if trial.steps else {}
    different, copies = canary.disagreements(trial)
    label = _most_gained(trial)
    of_labels = sum(trial.mix.canary.values()), sum(trial.mix.stable.values())
    share = trial.steps[-1].share if trial.steps else None
    shown: dict[Signal, tuple[float | None, float | None, int]] = {
        "errors": (_share(ours.errors, ours.requests), _share(theirs.errors, theirs.requests), trial.errors.n),
        "latency_p95": (
            _share(ours.over_p95, ours.timed),
            _share(theirs.over_p95, theirs.timed),
            trial.latency_p95.n,
        ),
        "latency_p99": (
            _share(ours.over_p99, ours.timed),
            _share(theirs.over_p99, theirs.timed),
            trial.latency_p99.n,
        ),
        "agreement": (_share(different, copies), trial.expected.disagreement, copies),
        "class_mix": (
            _share(trial.mix.canary.get(label, 0), of_labels[0]),
            _share(trial.mix.stable.get(label, 0), of_labels[1]),
            trial.mix.judged,
        ),
        "corrections": (_share(trial.corrections.hits, trial.corrections.n), share, trial.corrections.n),
    }
    margins: dict[Signal, float] = {
        "errors": release.error_margin,
        "latency_p95": release.latency_margin,
        "latency_p99": release.latency_margin,
    }
    return tuple(
        Weighed(
            signal=signal,
            log10_e=canary.log10_e(trial, signal),
            log10_peak=canary.log10_e(trial, signal, peak=True),
            log10_limit=canary.log10_limit(signal),
            canary=one,
            stable=other,
            n=n,
            bound=bounds[signal].most if signal in bounds else None,
            worth=round(bounds[signal].n / bounds[signal].effect) if signal in bounds else None,
            margin=margins.get(signal),
        )
        for signal, (one, other, n) in shown.items()
    )


def _most_gained(trial: Trial) -> str:
    """Return the label whose share grew most from the stable arm to the canary."""
    ours, theirs = (max(1, sum(each.values())) for each in (trial.mix.canary, trial.mix.stable))
    gain = {label: many / ours - trial.mix.stable.get(label, 0) / theirs for label, many in trial.mix.canary.items()}
    return max(gain, key=lambda label: gain[label], default="")


def _broken(trial: Trial) -> str:
    p = canary.split_p(trial)
    if p >= canary.SPLIT_ALPHA:
        return ""
    ours, theirs = trial.total("canary").requests, trial.total("stable").requests
    shares = ", then ".join(f"{step.share:.0%}" for step in trial.steps)
    return (
        f"the split of traffic is broken: the new version had {ours} of {ours + theirs} requests, and should have had "
        f"{shares} (p = {p:.1g})"
    )


def _short(what: str, requests: int, wanted: int, minutes: float, wanted_minutes: float) -> list[str]:
    said = []
    if requests < wanted:
        said.append(f"{requests} of {wanted} requests of {what}")
    if minutes < wanted_minutes:
        said.append(f"{minutes:.1f} of {wanted_minutes:g} minutes of {what}")
    return said


def _harm(signal: Weighed) -> str:
    return f"{_held(signal)}: evidence {_e(signal.log10_peak)} of harm, limit {_e(signal.log10_limit)}"


def _leaning(signal: Weighed) -> str:
    return f"{_held(signal)}: evidence {_e(signal.log10_e)} speaks against it"


def _loose(signal: Weighed) -> str:
    known = "nothing is known yet" if signal.bound is None else f"worse by at most {signal.bound:.2%}"
    worth = f"what {signal.worth or 0:,} independent requests tell"
    return f"{TITLES[signal.signal]}: {known} ({worth}), margin {signal.margin:.2%}"


def _proved(signal: Weighed) -> str:
    return f"{TITLES[signal.signal]}: worse by at most {signal.bound:.2%}, margin {signal.margin:.2%}"


def _held(signal: Weighed) -> str:
    shares = [f"{share:.1%}" for share in (signal.canary, signal.stable) if share is not None]
    return f"{TITLES[signal.signal]} ({' against '.join(shares)}; n = {signal.n})"


def _e(log10: float) -> str:
    return f"{10**log10:.0f}" if log10 < 6 else f"10^{log10:.0f}"


def _below(bound: float | None, margin: float) -> bool:
    return bound is not None and bound < margin


def _share(hits: int, of: int) -> float | None:
    return hits / of if of else None
