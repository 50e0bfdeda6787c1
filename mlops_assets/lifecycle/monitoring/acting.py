"""What follows of a look: a step further, a promotion, a way back, or a person who is told; each done once.

Everything is a verb of `rollout`, and follows of what is stored alone; so what a crash kept from being done is done at
the next look.
"""

import logging
from collections.abc import Iterator
from datetime import datetime

from mlops_assets.core.errors import PlatformError, Refused, Stale
from mlops_assets.core.health import over_limits
from mlops_assets.core.line import Line
from mlops_assets.core.ports.mirrors import Alert
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer
from mlops_assets.core.serving import Rollout
from mlops_assets.lifecycle.deployment import rollout as rollouts
from mlops_assets.lifecycle.monitoring.watched import Watched, seconds, whole

WATCH = "watch"
MISSING_WINDOWS = 3  # windows of health without an answer of the new version, after which it is held
log = logging.getLogger(__name__)


def act(platform: Platform, line: Line, watched: Watched, pointer: Pointer, now: datetime) -> list[str]:
    """Do what follows of what was seen when the line stood at `pointer`; nothing if it moved since.

    Returns a sentence for each thing done. What cannot be done is told to the team once, and tried at every look.
    """
    did: list[str] = []
    try:
        for acts in (_roll(platform, line, watched, pointer, now), _alarm(platform, line, watched, pointer)):
            if platform.versions.pointer(line.line) == pointer:
                did += acts
    except Stale as error:  # somebody was quicker: the next look sees where the line stands
        log.info("%s: %s", line.line, error)
    except PlatformError as error:
        title = f"what follows of the watch cannot be done: {type(error).__name__}"
        _tell(platform, line, f"cannot:{pointer.revision}:{type(error).__name__}", title, str(error))
        log.warning("%s: %s", line.line, error)
    return did


def _roll(platform: Platform, line: Line, watched: Watched, pointer: Pointer, now: datetime) -> Iterator[str]:
    """Do what follows of the verdict on a rollout."""
    rollout, running, seen = pointer.rollout, watched.shown.rollout, pointer.revision
    if rollout is None or running is None or watched.trial is None or running.judged is None:
        return
    judged, release = running.judged, line.release
    why = "; ".join(judged.reasons)
    failing = _failing(line, watched, rollout)
    if judged.verdict == "ROLL_BACK" or failing:
        why = failing or why
        if release.deployment_rollback:
            rollouts.rollback(platform, line, to=rollout.against, reason=why, actor=WATCH, revision=seen)
            _tell(platform, line, f"taken-back:{rollout.began_at}", f"version {rollout.version} was taken back", why)
            yield f"took version {rollout.version} back: {why}"
        elif not rollout.held:
            rollouts.hold(platform, line, why=f"It harms: {why}.", actor=WATCH, revision=seen)
            yield f"held version {rollout.version}: {why}"
        return
    if broken := over_limits(whole(watched, rollout.against), line.monitoring):
        title = f"production fails while version {rollout.version} is rolled out"
        _tell(platform, line, f"stable-fails:{rollout.began_at}", title, " ".join(broken))
    if rollout.held:
        return
    if stuck := _stuck(line, watched, rollout, now):
        rollouts.hold(platform, line, why=stuck, actor=WATCH, revision=seen)
        yield f"held version {rollout.version}: {stuck}"
    elif judged.verdict == "PROMOTE":
        rollouts.promote(platform, line, actor=WATCH, reason=why, revision=seen)
        yield f"promoted version {rollout.version}: {why}"
    elif judged.advance:
        after = rollouts.advance(platform, line, actor=WATCH, reason=why, revision=seen).rollout
        yield f"gave version {rollout.version} {after.share if after else 1:.0%} of users: {why}"


def _failing(line: Line, watched: Watched, rollout: Rollout) -> str:
    """Return why the new version fails whatever it is compared with; "" if it does not, or production fails, too."""
    limit, least = line.release.auto_rollback_error_rate, line.monitoring.min_window_requests
    ours, theirs = whole(watched, rollout.version), whole(watched, rollout.against)
    if ours.requests < least or ours.failures < limit * ours.requests:
        return ""
    if theirs.failures * 2 >= limit * theirs.requests > 0:
        return ""
    return f"{ours.failures} of its {ours.requests} latest requests failed, limit {limit:.0%}"


def _stuck(line: Line, watched: Watched, rollout: Rollout, now: datetime) -> str:
    """Return why nothing will follow of waiting on, "" if it may."""
    judged = watched.shown.rollout and watched.shown.rollout.judged
    if judged and judged.broken:
        return f"{judged.reasons[0][0].upper()}{judged.reasons[0][1:]}."
    hours = (now.timestamp() - seconds(rollout.began_at)) / 3600
    if hours >= line.release.max_hours:
        return f"Undecided after {hours:.1f} hours: {'; '.join(judged.reasons) if judged else 'nothing was seen'}."
    silent = (now.timestamp() - seconds(watched.asked_at or rollout.began_at)) / 60
    if silent >= MISSING_WINDOWS * line.monitoring.window_minutes:
        return f"The new version has answered nobody for {silent:.0f} minutes: there is nothing to judge it by."
    return ""


def _alarm(platform: Platform, line: Line, watched: Watched, pointer: Pointer) -> Iterator[str]:
    """Go back to the version before if the one that serves everybody fails; a person is told once, whatever is done."""
    version = pointer.roles.get("production")
    if version is None or pointer.rollout is not None:
        return
    counts, limit = whole(watched, version), line.release.auto_rollback_error_rate
    fails = counts.requests >= line.monitoring.min_window_requests and counts.failures >= limit * counts.requests
    incident = watched.incidents.get(version)
    if not fails and not (incident and incident.critical):
        return
    last = platform.ledger.entries(line.line, "alarmed", newest=1)
    if last and (last[0].body["version"], last[0].body["revision"]) == (version, pointer.revision):
        return
    share = f"{counts.failures} of its {counts.requests} latest requests failed, limit {limit:.0%}"
    why = share if fails else "Its health is CRITICAL"
    done = _fall_back(platform, line, version, why, pointer.revision)
    shed = f"The gateways refuse what waits beyond {line.serving.queue} inputs."
    _tell(platform, line, f"fails:{version}:{pointer.revision}", f"version {version} fails", f"{why}. {done} {shed}")
    platform.ledger.append(
        "alarmed",
        line.line,
        actor=WATCH,
        body={"version": version, "revision": pointer.revision, "why": why, "did": [done, shed]},
        key=f"alarmed:{line.line}:{version}:{pointer.revision}",
    )
    yield f"{why}. {done}"


def _fall_back(platform: Platform, line: Line, version: int, why: str, revision: int) -> str:
    if not line.release.enable_auto_rollback:
        return "Nothing was done about it: enable_auto_rollback is off."
    try:
        back = rollouts.rollback(platform, line, to=None, reason=why, actor=WATCH, revision=revision)
    except Refused as refused:
        return f"There is no way back from version {version}: {refused}"
    return f"Version {back.roles['production']} serves again."


def _tell(platform: Platform, line: Line, key: str, title: str, text: str) -> None:
    platform.alerts.send(
        Alert(key=f"watch:{line.line}:{key}", title=f"{line.line}: {title}", text=text, line=line.line)
    )
