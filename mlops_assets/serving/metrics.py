"""What Prometheus is told: requests, what runs, what waits, and who answered with what."""

import importlib.metadata
import platform as machine
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mlops_assets.core.serving import ServedVersion
from mlops_assets.serving.engine.recording import Recorder

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ANSWERED = ("line", "version", "arm", "success")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

disable_created_metrics()  # a second series for each counter, which nobody asks for


class Loads(Protocol):
    """What the metrics ask of an engine."""

    def loaded(self) -> Mapping[str, tuple[ServedVersion, ...]]:
        """Return the versions of each line that it keeps loaded."""
        ...


class Metrics:
    """The gateway's own registry; nothing in it names a user."""

    def __init__(self, engine: Loads, recorder: Recorder | None = None) -> None:
        self.registry = CollectorRegistry()
        of_request = ("method", "route", "status", "role")
        kept = self.registry
        self._requests = Counter("gateway_requests", "Requests that were answered.", of_request, registry=kept)
        self._seconds = Histogram(
            "gateway_request_seconds",
            "From the headers to the end of the answer.",
            ("route",),
            buckets=SECONDS,
            registry=kept,
        )
        self._in = Counter("gateway_received_bytes", "Bytes of bodies read.", registry=kept)
        self._out = Counter("gateway_sent_bytes", "Bytes of bodies sent.", registry=kept)
        self.in_flight = Gauge("gateway_requests_in_flight", "Requests being answered now.", registry=kept)
        self.held = Gauge("gateway_held_body_bytes", "Bytes of bodies of requests in flight.", registry=kept)
        self.keys_age = Gauge("gateway_keys_age_seconds", "Since the list of keys was read.", registry=kept)
        self.dropped = Counter("gateway_dropped_log_lines", "Log lines that could not be written.", registry=kept)
        self._predictions = Counter("gateway_predictions", "Inputs that a model answered.", ANSWERED, registry=kept)
        self._waiting = Gauge("gateway_events_waiting", "Events not yet acknowledged.", registry=kept)
        self._lag = Histogram(
            "gateway_event_lag_seconds", "From an event's arrival to its commit.", buckets=SECONDS, registry=kept
        )
        build = Info("gateway_build", "What is running.", registry=kept)
        build.info({"version": importlib.metadata.version("mlops_assets"), "python": machine.python_version()})
        kept.register(_Loaded(engine))
        if recorder is not None:
            waiting = Gauge("gateway_predictions_waiting", "Predictions not yet recorded.", registry=kept)
            waiting.set_function(lambda: recorder.waiting)
            lost = Gauge("gateway_predictions_lost", "Predictions that could not be recorded.", registry=kept)
            lost.set_function(lambda: recorder.lost)
        self._counted: dict[tuple[str, ...], Counter] = {}
        self._answered: dict[tuple[str, ...], Counter] = {}
        self._timed: dict[str, Histogram] = {}

    def request(self, method: str, route: str, status: int, role: str, seconds: float, read: int, sent: int) -> None:
        """Count an answered request."""
        key = (method, route, str(status), role)
        counter = self._counted.get(key) or self._counted.setdefault(key, self._requests.labels(*key))
        counter.inc()
        (self._timed.get(route) or self._timed.setdefault(route, self._seconds.labels(route))).observe(seconds)
        self._in.inc(read)
        self._out.inc(sent)

    def predicted(self, line: str, version: int | None, arm: str, success: bool, count: int = 1) -> None:
        """Count inputs that a version answered, or failed to."""
        key = (line, "" if version is None else str(version), arm, str(success).lower())
        (self._answered.get(key) or self._answered.setdefault(key, self._predictions.labels(*key))).inc(count)

    def events_arrived(self, count: int) -> None:
        """Count events that wait for their commit."""
        self._waiting.inc(count)

    def events_left(self, count: int, seconds: float) -> None:
        """Count events that wait no longer."""
        self._waiting.dec(count)
        self._lag.observe(seconds)

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _Loaded(Collector):
    """What the engine says of its models when it is asked."""

    def __init__(self, engine: Loads) -> None:
        self._engine = engine

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before it is asked."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield queues, refusals and readiness of every loaded version."""
        labels = ("line", "version")
        waiting = GaugeMetricFamily("gateway_inputs_waiting", "Inputs in a model's queue.", labels=labels)
        shed = CounterMetricFamily("gateway_shed", "Inputs refused for overload.", labels=labels)
        ready = GaugeMetricFamily("gateway_model_ready", "1 if the model answers, 0 if not.", labels=labels)
        for line, versions in self._engine.loaded().items():
            for each in versions:
                where = (line, str(each.version))
                waiting.add_metric(where, each.waiting)
                shed.add_metric(where, each.shed)
                ready.add_metric(where, each.state == "ready")
        yield from (waiting, shed, ready)
