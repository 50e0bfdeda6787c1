"""A line and its challenger on the same live requests, from the predictions and corrections that were recorded."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np

from mlops_assets.core.contrast import Disagreement, Latency, LiveContrast
from mlops_assets.core.events import Correction, Kind, Prediction, StoredEvent
from mlops_assets.core.line import Challenger, Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version

PAGE = 1_000
LATELY = 50


def live_contrast(
    platform: Platform, line: Line, challenger: Challenger, served: Version, since: datetime, until: datetime
) -> LiveContrast:
    """Return how the version that serves and the challenger did on the requests in [since, until) that both answered.

    A pair whose original was forgotten, or not logged, is left out.
    """
    every: dict[str, Prediction] = {}
    for _, event in _events(platform, line, "prediction", since, until):
        if isinstance(event, Prediction) and event.arm == "challenger" and event.of is not None:
            every[event.of] = event
    originals: dict[str, StoredEvent] = {}
    names = list(every)
    for start in range(0, len(names), PAGE):
        originals |= platform.events.find(line.line, names[start : start + PAGE])
    elsewhere = {
        name
        for name, copy in every.items()
        if (copy.model, copy.version) != (challenger.model, challenger.version)
        or (name in originals and getattr(originals[name].event, "version", None) != served.version)
    }
    copies = {name: copy for name, copy in every.items() if name not in elsewhere}
    right = {
        event.prediction_id: event.target
        for _, event in _events(platform, line, "correction", since, None)
        if isinstance(event, Correction)
    }
    pairs = [
        (name, originals[name], first, copy)
        for name, copy in copies.items()
        if copy.success and name in originals and isinstance(first := originals[name].event, Prediction)
    ]
    differing = [pair for pair in pairs if pair[3].agrees is False]
    judged = [(first.label, copy.label, right[name]) for name, _, first, copy in pairs if name in right]
    lower, upper = _clopper_pearson(len(differing), len(pairs))
    return LiveContrast(
        pairs=len(pairs),
        failures=sum(not copy.success for copy in copies.values()),
        elsewhere=len(elsewhere),
        disagreement=len(differing) / len(pairs) if pairs else None,
        disagreement_lower=lower,
        disagreement_upper=upper,
        corrected=len(judged),
        line_right=sum(ours == target for ours, _, target in judged),
        challenger_right=sum(theirs == target for _, theirs, target in judged),
        latency_line=latency_of([first.latency_ms for _, _, first, _ in pairs]),
        latency_challenger=latency_of([copy.latency_ms for *_, copy in pairs]),
        cost=sum(copy.cost or 0.0 for copy in copies.values()),
        lately=tuple(
            Disagreement(
                prediction_id=name,
                at=stored.received_at,
                line=first.label,
                challenger=copy.label,
                right=right.get(name),
            )
            for name, stored, first, copy in differing[: -LATELY - 1 : -1]
        ),
    )


def latency_of(values: Sequence[float]) -> Latency | None:
    """Return the latency of one arm, of milliseconds an answer; None without any."""
    if not values:
        return None
    p50, p95, p99 = (float(each) for each in np.percentile(values, (50, 95, 99)))
    return Latency(n=len(values), avg=float(np.mean(values)), p50=p50, p95=p95, p99=p99)


def _events(
    platform: Platform, line: Line, kind: Kind, since: datetime, until: datetime | None
) -> Iterator[tuple[int, object]]:
    after = 0
    while page := platform.events.read(line.line, kind=kind, after=after, since=since, until=until, limit=PAGE):
        yield from ((each.sequence, each.event) for each in page)
        after = page[-1].sequence


def _clopper_pearson(hits: int, n: int) -> tuple[float | None, float | None]:
    """Return the exact two-sided 95 % interval of a share (Clopper and Pearson 1934)."""
    if n == 0:
        return None, None
    from scipy.stats import binomtest

    found = binomtest(hits, n).proportion_ci(0.95, method="exact")
    return float(found.low), float(found.high)
