"""Samples of a line's health, of each version that answers, at the interval that the line asks for."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from mlops_assets.core.clock import utc, utc_text
from mlops_assets.core.health import Gateways, assess
from mlops_assets.core.line import Line
from mlops_assets.core.ports.mirrors import Alert
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer
from mlops_assets.core.serving import HealthSample
from mlops_assets.lifecycle.deployment import gateways
from mlops_assets.lifecycle.monitoring.watched import Incident, Watched

GATEWAY_SECONDS = 10  # since which a gateway must have said something to count as alive


def due(watched: Watched, line: Line, now: datetime) -> bool:
    """Say whether the next sample is to be taken."""
    return now.timestamp() - watched.sampled_at >= line.monitoring.health_check_interval_seconds


def health(platform: Platform, line: Line, watched: Watched, version: int, now: datetime) -> HealthSample:
    """Return the health of a version at this moment, without keeping it."""
    return _assessed(line, watched, version, now, _gateways(platform, line, version, now))


def sampled(
    platform: Platform, line: Line, watched: Watched, pointer: Pointer, now: datetime
) -> tuple[Watched, tuple[HealthSample, ...]]:
    """Return what is to be remembered, and the health of the version that serves and of one being rolled out."""
    versions = [pointer.roles["production"], *([pointer.rollout.version] if pointer.rollout else [])]
    said = {version: _gateways(platform, line, version, now) for version in versions}
    samples = tuple(_assessed(line, watched, version, now, said[version]) for version in versions)
    incidents = {each.version: _incident(each, watched.incidents.get(each.version), line) for each in samples}
    remembered = {
        "sampled_at": now.timestamp(),
        "shed": {version: each.shed for version, each in said.items()},
        "incidents": {version: incident for version, incident in incidents.items() if incident is not None},
    }
    return watched.model_copy(update=remembered), samples


def told(platform: Platform, line: Line, before: Mapping[int, Incident], samples: tuple[HealthSample, ...]) -> None:
    """Tell the team of versions that began to be unhealthy, and of those that became CRITICAL; once each."""
    for each in samples:
        incident = _incident(each, before.get(each.version), line)
        if incident is None:
            continue
        critical = " CRITICAL" if incident.critical else ""
        said = [*each.issues, *each.recommendations]
        score = "no score" if each.score is None else f"score {each.score:.2f}"
        platform.alerts.send(
            Alert(
                key=f"health:{line.line}:{each.version}:{incident.since}{critical}",
                title=f"{line.line}: version {each.version} is {each.status}",
                text=" ".join([f"{score[0].upper()}{score[1:]}.", *said]),
                line=line.line,
            )
        )


def _incident(sample: HealthSample, open_: Incident | None, line: Line) -> Incident | None:
    """Return the incident that a sample begins or goes on with; None if all is well; unclear ones change nothing."""
    if sample.status == "INCONCLUSIVE":
        return open_
    failing = any(signal.passed is False for signal in sample.signals)
    low = sample.score is not None and sample.score < line.monitoring.health_alert_threshold
    if not failing and not low:
        return None
    critical = sample.status == "CRITICAL" or (open_ is not None and open_.critical)
    return Incident(since=open_.since if open_ else sample.at, critical=critical)


def _assessed(line: Line, watched: Watched, version: int, now: datetime, said: Gateways) -> HealthSample:
    more = said.shed - watched.shed.get(version, said.shed)
    return assess(
        line.line,
        version,
        at=utc_text(now),
        window_seconds=line.monitoring.window_minutes * 60,
        counts=watched.counts.get(version, ()),
        gateways=said.model_copy(update={"shed": max(0, more)}),
        queue=line.serving.queue,
        monitoring=line.monitoring,
    )


def _gateways(platform: Platform, line: Line, version: int, now: datetime) -> Gateways:
    """Return what live gateways say of a version; one that is loading it says nothing yet."""
    heard = gateways.serving(platform, line, now - timedelta(minutes=line.monitoring.window_minutes))
    alive = utc_text(now - timedelta(seconds=GATEWAY_SECONDS))
    beats = [beat for beat in heard if utc(beat.at) >= alive]
    mine = [each for beat in beats for each in beat.lines[line.line] if each.version == version]
    settled = [each for each in mine if each.state != "loading"]
    return Gateways(
        alive=len(settled),
        silent=len(heard) - len(beats),
        ready=sum(each.state == "ready" for each in settled),
        waiting=sum(each.waiting for each in settled),
        shed=sum(each.shed for each in settled),
    )
