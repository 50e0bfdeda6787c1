"""`/pipeline/health` (source 004) and a line's rollout as its judge sees it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import fmean
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from mlops_assets.core.health import ORDER
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.serving import HealthSample, HealthStatus, Signal
from mlops_assets.lifecycle.monitoring import watching
from mlops_assets.lifecycle.monitoring.watched import WatchState
from mlops_assets.serving.asked import line_of, platform_of
from mlops_assets.serving.door.access import Caller, requires

router = APIRouter(tags=["health"])
Viewer = Annotated[Caller, requires("viewer")]
Hours = Annotated[float, Query(gt=0, le=24 * 366)]
SUMMARY_HOURS = 24


class Metrics(BaseModel):
    """Latency of successful answers in milliseconds, and the share of requests that failed."""

    avg: float | None
    p95: float | None
    p99: float | None
    error_rate: float | None


class VersionHealth(BaseModel):
    """One version now: the score and its parts (0..1), what is wrong, what to do, and a gate for every signal."""

    line: str
    version: int
    at: str
    window_seconds: float
    score: float | None
    status: HealthStatus
    scores: dict[str, float | None]
    issues: tuple[str, ...]
    recommendations: tuple[str, ...]
    metrics: Metrics
    success_count: int
    failure_count: int
    signals: tuple[Signal, ...]


class Health(BaseModel):
    """The lowest score, the worst status, and all that is wrong; below them every version that answers."""

    score: float | None
    status: HealthStatus
    issues: tuple[str, ...]
    recommendations: tuple[str, ...]
    metrics: Metrics | None
    success_count: int
    failure_count: int
    signals: tuple[Signal, ...]
    versions: tuple[VersionHealth, ...]


class LineSummary(BaseModel):
    """One line: its score now, the mean and lowest of the last day's samples, and their shares by status.

    Requests, failures and issues are those of now: of the minutes that a sample looks at (`window_seconds`).
    """

    status: HealthStatus
    score: float | None
    mean_score: float | None
    lowest_score: float | None
    samples: int
    window_seconds: float
    by_status: dict[HealthStatus, float]
    requests: int
    failures: int
    issues: tuple[str, ...]


class Summary(BaseModel):
    """All lines over the last day."""

    status: HealthStatus
    hours: float
    lines: dict[str, LineSummary]


@router.get("/pipeline/health")
def health(request: Request, caller: Viewer, line: str | None = None) -> Health:
    """Return the health of every line now, or of one; INCONCLUSIVE where too little was asked to say."""
    platform, now = platform_of(request), platform_of(request).clock()
    samples = [each for chosen in _lines(request, line) for each in watching.healths(platform, chosen, now)]
    versions = tuple(_version(each) for each in samples)
    serving = versions[0] if line is not None and versions else None
    prefix = len({each.line for each in samples}) > 1
    return Health(
        score=min((each.score for each in samples if each.score is not None), default=None),
        status=_worst([each.status for each in samples]),
        issues=_said(samples, "issues", prefix),
        recommendations=_said(samples, "recommendations", prefix),
        metrics=serving.metrics if serving else None,
        success_count=sum(each.success_count for each in versions),
        failure_count=sum(each.failure_count for each in versions),
        signals=serving.signals if serving else (),
        versions=versions,
    )


@router.get("/pipeline/health/summary")
def summary(request: Request, caller: Viewer, line: str | None = None) -> Summary:
    """Return each line's health over the last day."""
    platform, now = platform_of(request), platform_of(request).clock()
    lines = {each.line: _summary(platform, each, now) for each in _lines(request, line)}
    return Summary(status=_worst([each.status for each in lines.values()]), hours=SUMMARY_HOURS, lines=lines)


@router.get("/pipeline/health/history")
def history(request: Request, caller: Viewer, hours: Hours = 24, line: str | None = None) -> list[HealthSample]:
    """Return the samples of the last hours, oldest first, of every line or of one."""
    platform, since = platform_of(request), platform_of(request).clock() - timedelta(hours=hours)
    found = [each for chosen in _lines(request, line) for each in platform.watch.history(chosen.line, since)]
    return sorted(found, key=lambda sample: sample.at)


@router.get("/v1/lines/{line}/rollout")
def rollout(request: Request, line: str, caller: Viewer) -> WatchState:
    """Return what the judge has come to: counts by step and arm, evidence over time, the verdict and its reasons."""
    return watching.state(platform_of(request), line_of(request, line))


def _lines(request: Request, line: str | None) -> Sequence[Line]:
    return platform_of(request).lines() if line is None else [line_of(request, line)]


def _version(sample: HealthSample) -> VersionHealth:
    return VersionHealth(
        line=sample.line,
        version=sample.version,
        at=sample.at,
        window_seconds=sample.window_seconds,
        score=sample.score,
        status=sample.status,
        scores={
            "connection": sample.connection_score,
            "error": sample.error_score,
            "latency": sample.latency_score,
        },
        issues=sample.issues,
        recommendations=sample.recommendations,
        metrics=Metrics(
            avg=sample.latency_avg_ms,
            p95=sample.latency_p95_ms,
            p99=sample.latency_p99_ms,
            error_rate=sample.failures / sample.requests if sample.requests else None,
        ),
        success_count=sample.requests - sample.failures,
        failure_count=sample.failures,
        signals=sample.signals,
    )


def _summary(platform: Platform, line: Line, now: datetime) -> LineSummary:
    current = watching.healths(platform, line, now)
    samples = platform.watch.history(line.line, now - timedelta(hours=SUMMARY_HOURS))
    scores = [each.score for each in samples if each.score is not None]
    statuses: list[HealthStatus] = [each.status for each in samples]
    shares: dict[HealthStatus, float] = {}
    for status in statuses:
        shares[status] = shares.get(status, 0.0) + 1 / len(statuses)
    return LineSummary(
        status=_worst([each.status for each in current]),
        score=current[0].score if current else None,
        mean_score=fmean(scores) if scores else None,
        lowest_score=min(scores, default=None),
        samples=len(samples),
        window_seconds=60 * line.monitoring.window_minutes,
        by_status=shares,
        requests=sum(each.requests for each in current),
        failures=sum(each.failures for each in current),
        issues=tuple(issue for each in current for issue in each.issues),
    )


def _worst(statuses: Sequence[HealthStatus]) -> HealthStatus:
    known = [ORDER.index(each) for each in statuses if each in ORDER]
    return ORDER[max(known)] if known else "INCONCLUSIVE"


def _said(samples: Sequence[HealthSample], what: str, prefix: bool) -> tuple[str, ...]:
    said = [(each.line, text) for each in samples for text in getattr(each, what)]
    return tuple(dict.fromkeys(f"{line}: {text}" if prefix else text for line, text in said))
