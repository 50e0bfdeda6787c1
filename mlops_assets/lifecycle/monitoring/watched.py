"""What a watch keeps between two looks, and how events are folded into it; nothing here acts."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from pydantic import Field

from mlops_assets.core import canary
from mlops_assets.core.canary import Seen, Signal, StepSeen, Trial
from mlops_assets.core.clock import utc, utc_text
from mlops_assets.core.events import Scanned
from mlops_assets.core.health import Counts, summed
from mlops_assets.core.latencies import bin_of
from mlops_assets.core.records.base import Record
from mlops_assets.core.rollout_verdict import Judgement
from mlops_assets.core.serving import Rollout

SLICES = 10  # of a window of health
POINTS = 240  # of a chart; then every other one goes
BAD_RATING = 2  # stars that count as a complaint
SETTLING_SECONDS = 1.0  # after a step, until every gateway splits by the new share
LIMITS: dict[Signal, float] = {signal: canary.log10_limit(signal) for signal in canary.ALPHA}
TENTH = len("2026-11-21T12:00:00.0")  # characters of a time that name its tenth of a second
RECENT = 20_000  # predictions whose users are remembered within a look, for the copies of them


class Point(Record):
    """One point of a rollout's chart."""

    at: str
    share: float
    requests: int = Field(description="Of the new version, so far")
    log10_e: dict[Signal, float]


class RolloutState(Record):
    """A rollout as the watch sees it: what was counted, the evidence over time, and the verdict with its reasons."""

    version: int
    against: int
    strategy: str
    began_at: str
    stepped_at: str
    share: float
    held: str = ""
    ended: str = Field(default="", description="What ended it: promoted, rolled back, ...; empty while it runs")
    steps: tuple[StepSeen, ...] = ()
    judged: Judgement | None = None
    limits: dict[Signal, float] = Field(default=LIMITS, description="log10 of the e-value that takes the version back")
    chart: tuple[Point, ...] = ()


class WatchState(Record):
    """What watching a line has come to, for others to read."""

    line: str
    looked_at: str | None = None
    cursor: int = Field(default=0, description="Sequence of the last event that was counted")
    rollout: RolloutState | None = None
    last: RolloutState | None = Field(default=None, description="The rollout that ended last")


class Incident(Record):
    """A version that is not well: since when, and whether it ever was CRITICAL."""

    since: str
    critical: bool


class Watched(Record):
    """All that is stored between two looks."""

    shown: WatchState
    trial: Trial | None = None
    counting: str | None = Field(
        default=None, description="Since when requests count for the trial, by when they came; None: not yet"
    )
    shares: tuple[tuple[str, float], ...] = Field(default=(), description="When each step began, and its share")
    asked_at: str | None = Field(default=None, description="When the new version last answered, or began")
    counts: dict[int, tuple[Counts, ...]] = Field(default={}, description="Stretches of the window, by version")
    sampled_at: float = 0.0
    shed: dict[int, int] = Field(default={}, description="Requests refused so far, by version, at the last sample")
    incidents: dict[int, Incident] = Field(default={}, description="By version")


def seconds(text: str) -> float:
    """Return a stored time as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def same(state: RolloutState | None, rollout: Rollout | None) -> bool:
    """Say whether a state is that of a rollout."""
    if state is None or rollout is None:
        return state is None and rollout is None
    return (state.version, state.began_at) == (rollout.version, rollout.began_at)


def kept(counts: Iterable[Counts], now: datetime, window_seconds: float) -> tuple[Counts, ...]:
    """Return the stretches that a window still holds."""
    oldest = now.timestamp() - window_seconds - window_seconds / SLICES
    return tuple(each for each in counts if each.began > oldest)


def whole(watched: Watched, version: int) -> Counts:
    """Return what a version did in the window."""
    return summed(watched.counts.get(version, ()))


def fold(
    watched: Watched,
    events: Iterable[Scanned],
    rollout: Rollout | None,
    window_seconds: float,
    referred: Callable[[Iterable[str]], Mapping[str, tuple[int | None, str, str]]],
) -> Watched:
    """Return what is known after more events, in their order.

    `referred` looks up predictions that complaints refer to: version, received_at and user by id.
    """
    folding = _Folding(watched, rollout, window_seconds)
    last = watched.shown.cursor
    for event in events:
        folding.take(event)
        last = event.sequence
    folding.complain(referred)
    return folding.done(last)


class _Folding:
    def __init__(self, watched: Watched, rollout: Rollout | None, window_seconds: float) -> None:
        self._watched, self._rollout = watched, rollout if watched.trial is not None else None
        self._slice = window_seconds / SLICES
        self._counts = {version: list(each) for version, each in watched.counts.items()}
        self._open: dict[tuple[int, float], dict[str, int]] = {}
        self._latencies: dict[tuple[int, float], dict[int, int]] = {}
        self._answers: list[Seen] = []
        self._pairs: list[tuple[str, bool]] = []
        self._ratings: list[tuple[str, int]] = []
        self._complaints: list[tuple[str, bool, float]] = []
        self._corrections: list[str] = []
        self._users: deque[tuple[str, str]] = deque(maxlen=RECENT)
        self._asked_at = watched.asked_at
        self._counting = seconds(watched.counting) if watched.counting else math.inf
        self._stepped = utc(rollout.stepped_at) if rollout else ""

    def take(self, event: Scanned) -> None:
        fields = event.fields
        match event.kind:
            case "prediction":
                self._prediction(event, fields)
            case "feedback" if fields.get("prediction_id"):
                self._ratings.append((fields["prediction_id"], fields["rating"]))
            case "correction":
                self._corrections.append(fields["prediction_id"])
            case _:
                pass

    def _prediction(self, event: Scanned, fields: Mapping[str, object]) -> None:
        arm, version = fields["arm"], fields.get("version")
        if not isinstance(version, int):
            return
        who = str(fields.get("user") or fields.get("request") or event.event_id)
        rollout = self._rollout
        failed, latency = not fields["success"], float(str(fields["latency_ms"]))
        at = seconds(event.received_at)
        # By when it came: early answers are those of the quicker version, late copies those of the rollout before.
        counts = at - latency / 1000 >= self._counting
        if arm == "shadow":
            mine = rollout is not None and version in (rollout.version, rollout.against)
            if mine and counts and isinstance(fields.get("agrees"), bool):
                self._pairs.append((str(fields.get("of")), bool(fields["agrees"])))
            return
        if arm not in ("production", "canary"):
            return
        again = fields.get("of") is not None  # what the other version failed at: neither split by the share, nor timed
        self._count(version, at, failed, None if again else latency)
        self._users.append((event.event_id, who))
        if rollout is None or again or version not in (rollout.version, rollout.against):
            return
        new = version == rollout.version
        if new and event.received_at >= self._stepped:
            self._asked_at = event.received_at
        if counts:
            label = fields.get("label")
            self._answers.append(
                Seen(
                    canary=new,
                    who=who,
                    failed=failed,
                    latency_ms=latency,
                    label=label if isinstance(label, str) else None,
                    moment=event.received_at[:TENTH],
                    cold=bool(fields.get("cold")),
                )
            )

    def _count(self, version: int, at: float, failed: bool, latency: float | None) -> None:
        key = (version, at // self._slice * self._slice)
        open_ = self._open.setdefault(key, {"requests": 0, "failures": 0})
        open_["requests"] += 1
        if failed:
            open_["failures"] += 1
        if failed or latency is None:
            return
        seen = self._latencies.setdefault(key, {})
        bin_ = bin_of(latency)
        seen[bin_] = seen.get(bin_, 0) + 1

    def complain(self, referred: Callable[[Iterable[str]], Mapping[str, tuple[int | None, str, str]]]) -> None:
        """Count corrections and ratings for the version that they are about."""
        ids = {*self._corrections, *(name for name, _ in self._ratings)}
        found = referred(ids) if ids else {}
        for name, rating in [(each, None) for each in self._corrections] + list(self._ratings):
            if name not in found:
                continue
            version, received_at, who = found[name]
            if version is None:
                continue
            key = (version, max((each.began for each in self._counts.get(version, ())), default=seconds(received_at)))
            open_ = self._open.setdefault(key, {})
            if rating is None:
                open_["corrected"] = open_.get("corrected", 0) + 1
            else:
                open_["ratings"] = open_.get("ratings", 0) + 1
                open_["stars"] = open_.get("stars", 0) + rating
            share = self._share(received_at)
            rollout = self._rollout
            if rollout and share and version in (rollout.version, rollout.against) and (rating or 1) <= BAD_RATING:
                self._complaints.append((who, version == rollout.version, share))

    def _share(self, received_at: str) -> float | None:
        shares = [share for began, share in self._watched.shares if began <= received_at]
        return shares[-1] if shares else None

    def done(self, cursor: int) -> Watched:
        """Return what is known now."""
        trial = self._watched.trial
        if trial is not None and self._rollout is not None:
            users = dict(self._users)
            if self._answers:
                trial = canary.observe(trial, self._answers)
            trial = canary.compared(trial, [(users.get(of, of), agrees) for of, agrees in self._pairs])
            trial = canary.corrected(trial, self._complaints)
        for (version, began), more in self._open.items():
            mine = self._counts.setdefault(version, [])
            new = Counts(began=began, latencies=self._latencies.get((version, began), {}), **more)
            old = next((at for at, each in enumerate(mine) if each.began == began), None)
            if old is None:
                mine.append(new)
            else:
                mine[old] = summed([mine[old], new])
        return self._watched.model_copy(
            update={
                "shown": self._watched.shown.model_copy(update={"cursor": cursor}),
                "trial": trial,
                "asked_at": self._asked_at,
                "counts": {version: tuple(each) for version, each in self._counts.items()},
            }
        )


def drawn(chart: tuple[Point, ...], point: Point) -> tuple[Point, ...]:
    """Return a chart with one more point; every other one of a full chart goes."""
    return (*(chart if len(chart) < POINTS else chart[::2]), point)


def point(trial: Trial, at: datetime) -> Point:
    """Return the evidence as it stands."""
    return Point(
        at=utc_text(at),
        share=trial.steps[-1].share,
        requests=trial.total("canary").requests,
        log10_e={signal: round(canary.log10_e(trial, signal), 4) for signal in canary.ALPHA},
    )
