"""One look at a line: count what was predicted since the last one, judge what is being rolled out, and act on it.

Any number of watches may look at a line at once. What was counted is stored by compare-and-set before anything is done
about it: only one of two that looked at the same events goes on, and what a crash kept from being done follows of what
is stored at the next look. What follows is in `acting`.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from mlops_assets.core import canary
from mlops_assets.core.clock import utc, utc_text
from mlops_assets.core.errors import Stale
from mlops_assets.core.events import Prediction, Scanned
from mlops_assets.core.health import over_limits
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer
from mlops_assets.core.rollout_verdict import judge
from mlops_assets.core.serving import HealthSample, Rollout
from mlops_assets.lifecycle.deployment import gateways
from mlops_assets.lifecycle.deployment import rollout as rollouts
from mlops_assets.lifecycle.deployment.moving import last_move
from mlops_assets.lifecycle.monitoring.acting import act
from mlops_assets.lifecycle.monitoring.expecting import expected
from mlops_assets.lifecycle.monitoring.sampling import due, health, sampled, told
from mlops_assets.lifecycle.monitoring.watched import (
    SETTLING_SECONDS,
    RolloutState,
    Watched,
    WatchState,
    drawn,
    fold,
    kept,
    point,
    same,
    seconds,
    whole,
)

TOGETHER = 5_000  # events of one reading
MOST = 40_000  # events of one look; the next one goes on
HEALTH_DAYS = 30
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Looked:
    """What one look came to: events counted, what was done (sentences), and the state; `busy`: another watch looked."""

    line: str
    events: int
    did: tuple[str, ...]
    state: WatchState
    samples: tuple[HealthSample, ...] = ()
    busy: bool = False


def state(platform: Platform, line: Line) -> WatchState:
    """Return what watching a line has come to."""
    return _read(platform, line)[1].shown


def look(platform: Platform, line: Line, now: datetime) -> Looked:
    """Look at a line once, at `now` (aware); the same events are counted once, however many look."""
    pointer = rollouts.settle(platform, line)
    revision, before = _read(platform, line)
    events, cursor = _events(platform, line, before, pointer.rollout, now)
    watched = _followed(platform, line, before, pointer, now)
    watched = _counted(platform, line, watched, events, pointer.rollout, now)
    watched = _judged(line, watched, pointer.rollout, now)
    samples: tuple[HealthSample, ...] = ()
    if "production" in pointer.roles and due(watched, line, now):
        watched, samples = sampled(platform, line, watched, pointer, now)
    if watched != before or cursor != before.shown.cursor:
        shown = watched.shown.model_copy(update={"looked_at": utc_text(now), "cursor": cursor})
        watched = watched.model_copy(update={"shown": shown})
        try:
            platform.watch.store(line.line, revision, watched.model_dump(mode="json"))
        except Stale:
            return Looked(line.line, 0, (), before.shown, busy=True)
    did = act(platform, line, watched, pointer, now)
    for each in samples:
        platform.watch.record(each)
    told(platform, line, before.incidents, samples)
    return Looked(line.line, len(events), tuple(did), watched.shown, samples)


def healths(platform: Platform, line: Line, now: datetime) -> tuple[HealthSample, ...]:
    """Return the health, at this moment, of the version that serves and of one that is being rolled out."""
    pointer, watched = platform.versions.pointer(line.line), _read(platform, line)[1]
    versions = [number for role, number in pointer.roles.items() if role == "production"]
    versions += [pointer.rollout.version] if pointer.rollout else []
    return tuple(health(platform, line, watched, version, now) for version in versions)


def forget(platform: Platform, now: datetime) -> int:
    """Forget samples of health after 30 days, or a line's `data_retention_days` if those are fewer; return how many."""
    return sum(
        platform.watch.forget_before(
            line.line, now - timedelta(days=min(HEALTH_DAYS, line.collection.data_retention_days))
        )
        for line in platform.lines()
    )


def _read(platform: Platform, line: Line) -> tuple[int, Watched]:
    revision, body = platform.watch.state(line.line)
    if body is None:
        return revision, Watched(shown=WatchState(line=line.line))
    try:
        return revision, Watched.model_validate(body, extra="ignore")
    except ValidationError as error:  # of another release: whoever looks next counts the rollout's events again
        log.warning("What was seen of %s cannot be read, so its watch begins anew: %s", line.line, error)
        return revision, Watched(shown=WatchState(line=line.line))


def _events(
    platform: Platform, line: Line, watched: Watched, rollout: Rollout | None, now: datetime
) -> tuple[list[Scanned], int]:
    """Return the events to count and the next cursor: all events of a rollout, else those in a window of health."""
    since = now - timedelta(minutes=line.monitoring.window_minutes)
    if rollout is not None:
        since = min(since, datetime.fromisoformat(rollout.began_at))
    cursor, last = watched.shown.cursor, platform.events.last(line.line)
    found: list[Scanned] = []
    while cursor < last and len(found) < MOST:
        some = platform.events.scan(line.line, after=cursor, since=since, limit=TOGETHER)
        found += some
        cursor = some[-1].sequence if some else last
        if len(some) < TOGETHER:
            return found, max(cursor, last)
    return found, cursor


def _followed(platform: Platform, line: Line, watched: Watched, pointer: Pointer, now: datetime) -> Watched:
    """Begin, or end, what is watched of a rollout as the pointer says; and drop what a window has left behind."""
    window = line.monitoring.window_minutes * 60
    roles = {*pointer.roles.values()}
    counts = {version: kept(each, now, window) for version, each in watched.counts.items() if version in roles}
    changes: dict[str, object] = {"counts": {version: each for version, each in counts.items() if each}}
    shown, rollout = watched.shown, pointer.rollout
    if not same(shown.rollout, rollout):
        changes |= {"trial": None, "counting": None, "shares": (), "asked_at": None}
        if shown.rollout is not None:
            move = last_move(platform, line)
            ended = shown.rollout.model_copy(update={"ended": move.kind.replace("_", " ") if move else "ended"})
            shown = shown.model_copy(update={"rollout": None, "last": ended})
        if rollout is not None and rollout.strategy == "canary":
            known = expected(platform, line, rollout.version, rollout.against)
            latencies = whole(watched, rollout.against).latencies
            trial = canary.begin(known, line.release.disagreement_margin, dict(latencies))
            changes |= {"trial": canary.step(trial, rollout.share), "asked_at": utc(rollout.began_at)}
            changes |= {"shares": ((utc(rollout.began_at), rollout.share),)}
        if rollout is not None:  # what it did before is not what it does now
            changes["counts"] = {
                version: each for version, each in counts.items() if each and version != rollout.version
            }
    if rollout is not None:
        now_ = {name: getattr(rollout, name) for name in RolloutState.model_fields.keys() & Rollout.model_fields.keys()}
        running = shown.rollout or RolloutState.model_validate(now_)
        shown = shown.model_copy(update={"rollout": running.model_copy(update=now_)})
    changes["shown"] = shown
    return watched.model_copy(update=changes)


def _counted(
    platform: Platform, line: Line, watched: Watched, events: list[Scanned], rollout: Rollout | None, now: datetime
) -> Watched:
    """Fold events in, those before the present step by the share they were split by."""
    window = line.monitoring.window_minutes * 60

    def referred(ids: Iterable[str]) -> Mapping[str, tuple[int | None, str, str]]:
        found = platform.events.find(line.line, [*ids])
        return {
            name: (each.event.version, each.received_at, each.event.user or name)
            for name, each in found.items()
            if isinstance(each.event, Prediction)
        }

    if watched.trial is None or rollout is None:
        return fold(watched, events, rollout, window, referred)
    stepped = utc(rollout.stepped_at)
    if stepped > watched.shares[-1][0]:
        earlier = [event for event in events if event.received_at < stepped]
        watched = fold(watched, earlier, rollout, window, referred)
        events = events[len(earlier) :]
        settled = datetime.fromisoformat(stepped) + timedelta(seconds=SETTLING_SECONDS)
        assert watched.trial is not None
        watched = watched.model_copy(
            update={
                "trial": canary.step(watched.trial, rollout.share),
                "shares": (*watched.shares, (stepped, rollout.share)),
                "counting": utc_text(settled),
            }
        )
    if watched.counting is None:
        watched = watched.model_copy(update={"counting": _settled(platform, line, events, rollout, now)})
    return fold(watched, events, rollout, window, referred)


def _settled(platform: Platform, line: Line, events: list[Scanned], rollout: Rollout, now: datetime) -> str | None:
    """Return since when the new version is asked by its share; None if not yet.

    That is its first answer: a model takes its time to load. Of several gateways, all must have loaded it by then.
    """
    mine = (e for e in events if e.kind == "prediction" and e.fields.get("version") == rollout.version)
    first = next((each for each in mine if each.fields["arm"] == "canary"), None)
    if first is None or first.received_at < utc(rollout.began_at):
        return None
    beats = gateways.serving(platform, line, now - gateways.ALIVE)
    has = [
        any(version.version == rollout.version and version.state == "ready" for version in beat.lines[line.line])
        for beat in beats
    ]
    return first.received_at if len(beats) < 2 or all(has) else None


def _judged(line: Line, watched: Watched, rollout: Rollout | None, now: datetime) -> Watched:
    if watched.trial is None or rollout is None or watched.shown.rollout is None:
        return watched
    running = watched.shown.rollout
    minutes = (now.timestamp() - seconds(rollout.began_at)) / 60
    step_minutes = (now.timestamp() - seconds(rollout.stepped_at)) / 60
    hindrances = [
        f"{'production' if version == rollout.against else 'the new version'} (v{version}) breaks an absolute limit: "
        f"{said}"
        for version in (rollout.against, rollout.version)
        for said in over_limits(whole(watched, version), line.monitoring)
    ]
    judged = judge(watched.trial, line.release, minutes=minutes, step_minutes=step_minutes, hindrances=hindrances)
    seen = watched.trial.total("canary").requests + watched.trial.total("stable").requests
    before = sum(step.canary.requests + step.stable.requests for step in running.steps)
    chart = drawn(running.chart, point(watched.trial, now)) if seen != before or not running.chart else running.chart
    known = running.judged
    if seen == before and known and (judged.verdict, judged.advance) == (known.verdict, known.advance):
        judged = known  # only minutes went by
    running = running.model_copy(update={"judged": judged, "steps": watched.trial.steps, "chart": chart})
    return watched.model_copy(update={"shown": watched.shown.model_copy(update={"rollout": running})})
