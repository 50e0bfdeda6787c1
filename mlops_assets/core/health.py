"""The health of one version of a line: source 004's score, and beside it a gate for every signal.

    score = 0.4 connection + 0.4 errors + 0.2 latency        each in 0..1

connection: part of the live gateways that have the version ready (1 where no gateway ever said anything and it
            answers; unknown where all of them fell silent).
errors:     1 - (failed / requests).
latency:    1 up to the line's limit of the p95, falling to 0 at twice that.

HEALTHY from 0.9, DEGRADED from 0.7, UNHEALTHY from 0.5, else CRITICAL. The score cannot see that all answers are slow
(0.4 + 0.4 + 0 = 0.8), nor whether they are right; so one signal that fails makes the shown status DEGRADED at best, two
make it UNHEALTHY at best. Without enough requests there is no score, and the status is INCONCLUSIVE.
"""

from collections.abc import Iterable, Mapping

from pydantic import Field

from mlops_assets.core import latencies
from mlops_assets.core.line import Monitoring
from mlops_assets.core.records.base import Record
from mlops_assets.core.serving import HealthSample, HealthStatus, Signal

WEIGHTS = {"connection": 0.4, "errors": 0.4, "latency": 0.2}
BANDS: tuple[tuple[float, HealthStatus], ...] = ((0.9, "HEALTHY"), (0.7, "DEGRADED"), (0.5, "UNHEALTHY"))
ORDER: tuple[HealthStatus, ...] = ("HEALTHY", "DEGRADED", "UNHEALTHY", "CRITICAL")
FULL_QUEUE = 0.8  # of the inputs that may wait
LEAST_RATINGS = 5
TODO = {
    "errors": "Look at the errors' codes in the prediction events; `mlops rollback` serves the version before.",
    "latency_p95": "Look at the load and the size of inputs; raise `serving.max_batch`, or serve a smaller model.",
    "latency_p99": "Look for single slow inputs and for pauses of the machine.",
    "connection": "See `mlops status` and the gateway's log for why a gateway does not have the version ready.",
    "queue": "More requests arrive than the model answers: start another gateway, or raise `serving.max_batch`.",
    "shed": "Requests were refused for overload: start another gateway.",
    "accuracy": "Train on the corrections: `mlops why` says what they wait for.",
    "satisfaction": "Read the notes of the low ratings: `mlops events list --kind feedback`.",
}


class Counts(Record):
    """What one version did in a stretch of time."""

    began: float = Field(description="Seconds since 1970")
    requests: int = 0
    failures: int = 0
    latencies: dict[int, int] = Field(default={}, description="Of successful answers, by bin of `latencies`")
    corrected: int = 0
    ratings: int = 0
    stars: int = 0


class Gateways(Record):
    """What gateways say of a version: how many live, fell silent, and have it ready; inputs waiting, and refused."""

    alive: int = 0
    silent: int = 0
    ready: int = 0
    waiting: int = 0
    shed: int = 0


def assess(
    line: str,
    version: int,
    *,
    at: str,
    window_seconds: float,
    counts: Iterable[Counts],
    gateways: Gateways,
    queue: int,
    monitoring: Monitoring,
) -> HealthSample:
    """Return the health of a version over the stretches of time given; `queue` inputs may wait for it."""
    all_ = summed(counts)
    enough = all_.requests >= monitoring.min_window_requests
    signals = _signals(all_, gateways, queue, monitoring, enough)
    errors = all_.failures / all_.requests if all_.requests else 0.0
    p95 = latencies.milliseconds(all_.latencies, 0.95)
    unseen = 1.0 if all_.requests and not gateways.silent else None
    connection = gateways.ready / gateways.alive if gateways.alive else unseen
    error = 1 - errors if enough else None
    late = 0.0 if p95 is None else p95 / monitoring.max_latency_p95_ms
    latency = min(max(2 - late, 0.0), 1.0) if enough else None
    score = None
    if connection is not None and error is not None and latency is not None:
        score = round(WEIGHTS["connection"] * connection + WEIGHTS["errors"] * error + WEIGHTS["latency"] * latency, 6)
    if connection == 0.0 and gateways.alive:  # nobody can be answered, however few asked
        score = score if score is not None else 0.0
    failing = [each for each in signals if each.passed is False]
    return HealthSample(
        line=line,
        version=version,
        at=at,
        window_seconds=window_seconds,
        status=shown(score, len(failing)),
        score=score,
        connection_score=connection,
        error_score=error,
        latency_score=latency,
        requests=all_.requests,
        failures=all_.failures,
        latency_avg_ms=latencies.mean(all_.latencies),
        latency_p95_ms=p95,
        latency_p99_ms=latencies.milliseconds(all_.latencies, 0.99),
        signals=signals,
        issues=tuple(each.explanation for each in failing),
        recommendations=tuple(TODO[each.name] for each in failing),
    )


def band(score: float | None) -> HealthStatus:
    """Return the status of a score alone, as 004 has it."""
    if score is None:
        return "INCONCLUSIVE"
    for least, status in BANDS:
        if score >= least:
            return status
    return "CRITICAL"


def shown(score: float | None, failing: int) -> HealthStatus:
    """Return the status that is shown: the score's, capped by the number of signals that fail."""
    status = band(score)
    if status == "INCONCLUSIVE":
        return status
    return ORDER[max(ORDER.index(status), min(failing, 2))]


def summed(counts: Iterable[Counts]) -> Counts:
    """Return several stretches of time as one."""
    total: dict[str, int] = dict.fromkeys(("requests", "failures", "corrected", "ratings", "stars"), 0)
    seen: dict[int, int] = {}
    began = 0.0
    for each in counts:
        began = min(began, each.began) if began else each.began
        for name in total:
            total[name] += getattr(each, name)
        for bin_, many in each.latencies.items():
            seen[bin_] = seen.get(bin_, 0) + many
    return Counts(began=began, latencies=seen, **total)


def over_limits(counts: Counts, monitoring: Monitoring) -> tuple[str, ...]:
    """Return which absolute limits a version breaks, in words; none without enough requests."""
    if counts.requests < monitoring.min_window_requests:
        return ()
    signals = _of_answers(counts, monitoring, enough=True)
    return tuple(each.explanation for each in signals if each.passed is False)


def _signals(
    counts: Counts, gateways: Gateways, queue: int, monitoring: Monitoring, enough: bool
) -> tuple[Signal, ...]:
    signals = _of_answers(counts, monitoring, enough=enough)
    if gateways.alive:
        part, waiting = gateways.ready / gateways.alive, gateways.waiting / (queue * gateways.alive)
        missing = f"{gateways.alive - gateways.ready} of {gateways.alive} gateways do not have the version ready."
        signals.append(_signal("connection", part, 1.0, "share", gateways.alive, part >= 1, missing))
        full = f"{gateways.waiting} inputs wait for a model, of {queue * gateways.alive} that may."
        signals.append(_signal("queue", waiting, FULL_QUEUE, "share", gateways.waiting, waiting <= FULL_QUEUE, full))
        refused = f"{gateways.shed} requests were refused for overload."
        signals.append(
            _signal("shed", float(gateways.shed), 0.0, "requests", gateways.shed, not gateways.shed, refused)
        )
    if monitoring.track_accuracy and monitoring.min_accuracy is not None:
        right = 1 - counts.corrected / counts.requests if counts.requests else None
        least = monitoring.min_accuracy
        ok = None if right is None or not enough else right >= least
        said = f"{counts.corrected} of {counts.requests} answers were corrected; {least:.0%} must not be."
        signals.append(_signal("accuracy", right, least, "share", counts.requests, ok, said))
    if monitoring.track_user_satisfaction and monitoring.min_satisfaction is not None:
        mean = counts.stars / counts.ratings if counts.ratings else None
        least = monitoring.min_satisfaction
        ok = None if mean is None or counts.ratings < LEAST_RATINGS else mean >= least
        said = f"The mean of {counts.ratings} ratings is {mean or 0:.1f}; at least {least:g} is wanted."
        signals.append(_signal("satisfaction", mean, least, "stars", counts.ratings, ok, said))
    return tuple(signals)


def _of_answers(counts: Counts, monitoring: Monitoring, *, enough: bool) -> list[Signal]:
    errors = counts.failures / counts.requests if counts.requests else None
    limit = monitoring.max_error_rate
    said = f"{errors or 0:.1%} of {counts.requests} requests failed; the limit is {limit:.1%}."
    ok = None if errors is None or not enough else errors <= limit
    signals = [_signal("errors", errors, limit, "share", counts.requests, ok, said)]
    if not monitoring.track_latency:
        return signals
    limits: Mapping[str, float] = {"p95": monitoring.max_latency_p95_ms, "p99": monitoring.max_latency_p99_ms}
    for name, most in limits.items():
        value = latencies.milliseconds(counts.latencies, int(name[1:]) / 100)
        said = f"The {name} of latency is {value or 0:.0f} ms; the limit is {most:g} ms."
        ok = None if value is None or not enough else value <= most
        n = sum(counts.latencies.values())
        signals.append(_signal(f"latency_{name}", value, most, "ms", n, ok, said))
    return signals


def _signal(name: str, value: float | None, limit: float, unit: str, n: int, passed: bool | None, said: str) -> Signal:
    explanation = said if passed is False else ("" if passed else "Too little was seen to say.")
    return Signal(name=name, value=value, limit=limit, unit=unit, passed=passed, n=n, explanation=explanation)
