"""A rollout as the pages show it: what the judge says of it and why, signal by signal, and how the evidence grew."""

from pydantic import Field

from mlops_assets.core.canary import Signal
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer
from mlops_assets.core.records.base import Record
from mlops_assets.core.rollout_verdict import TITLES, Weighed
from mlops_assets.lifecycle.monitoring.watched import RolloutState, same
from mlops_assets.lifecycle.monitoring.watching import state
from mlops_assets.serving.pages.charts import Drawn, Limit, Series, drawn

FLOOR = -0.5  # evidence for a version says nothing against it, however much there is


class Judged(Record):
    """What the judge has come to about a rollout, running or ended."""

    version: int
    against: int
    began_at: str
    ended: str = Field(description="How it ended; empty while it runs")
    verdict: str
    why: tuple[str, ...]
    canary_requests: int
    stable_requests: int
    signals: tuple[Weighed, ...]
    titles: dict[Signal, str]
    chart: Drawn | None


def judged(platform: Platform, line: Line, pointer: Pointer) -> Judged | None:
    """Return what the judge last said of the rollout that a pointer names; None where there is none, or no word yet."""
    if pointer.rollout is None:
        return None
    running = state(platform, line).rollout
    return _judged(running) if running is not None and same(running, pointer.rollout) else None


def last(platform: Platform, line: Line) -> Judged | None:
    """Return what was said of the rollout that ended last."""
    ended = state(platform, line).last
    return None if ended is None else _judged(ended)


def _judged(seen: RolloutState) -> Judged | None:
    if seen.judged is None:
        return None
    return Judged(
        version=seen.version,
        against=seen.against,
        began_at=seen.began_at,
        ended=seen.ended,
        verdict=seen.judged.verdict,
        why=seen.judged.reasons,
        canary_requests=sum(step.canary.requests for step in seen.steps),
        stable_requests=sum(step.stable.requests for step in seen.steps),
        signals=seen.judged.signals,
        titles=dict(TITLES),
        chart=_chart(seen),
    )


def _chart(seen: RolloutState) -> Drawn | None:
    """Draw the e-value of each signal on a log scale, as a part of the one at which it takes the version back.

    Each signal has its own threshold, so that only as parts of it they share an axis: 1 is the threshold of each.
    """
    order: list[Signal] = [signal for signal in TITLES if signal in seen.limits]
    series = [
        Series(
            name=signal.replace("_", " "),
            colour=1 + at % 6,
            points=tuple((float(each.requests), each.log10_e[signal] / seen.limits[signal]) for each in seen.chart),
        )
        for at, signal in enumerate(order)
    ]
    return drawn(
        "Evidence of harm",
        series,
        says=f"log10 of the e-value of each signal over requests to version {seen.version}, as a part of the one at "
        "which it is taken back; 1 takes it back",
        across="Requests",
        unit="log e-value, as part of its threshold",
        limits=(Limit(name="taken back", value=1.0, tone="bad"),),
        floor=FLOOR,
        high=1.2,
    )
