"""The score of source 004, its bands, and the signals that see what it cannot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.health import Counts, Gateways, assess, band, over_limits, shown, summed
from mlops_assets.core.latencies import bin_of, mean, milliseconds
from mlops_assets.core.line import Monitoring
from mlops_assets.core.serving import HealthSample

READY, DEFAULTS = Gateways(alive=1, ready=1), Monitoring()


def assessed(
    requests: int = 100,
    failures: int = 0,
    ms: float = 20,
    gateways: Gateways = READY,
    monitoring: Monitoring = DEFAULTS,
    **counts: int,
) -> HealthSample:
    seen = Counts(began=0, requests=requests, failures=failures, latencies={bin_of(ms): requests - failures}, **counts)
    return assess(
        "topics", 1, at="2026-11-21T00:00:00+00:00", window_seconds=300, counts=[seen], gateways=gateways, queue=100,
        monitoring=monitoring,
    )  # fmt: skip


def failing(sample: HealthSample) -> list[str]:
    return [each.name for each in sample.signals if each.passed is False]


def test_all_is_well() -> None:
    sample = assessed()
    assert (sample.score, sample.status, sample.issues) == (1.0, "HEALTHY", ())
    assert sample.latency_p95_ms == pytest.approx(20, rel=0.011)


def test_the_score_has_the_weights_of_004() -> None:
    assert assessed(failures=25).score == pytest.approx(0.4 + 0.4 * 0.75 + 0.2)
    assert assessed(ms=1_500).score == pytest.approx(0.4 + 0.4 + 0.2 * 0.5, abs=0.01)
    assert assessed(gateways=Gateways(alive=4, ready=1)).score == pytest.approx(0.4 * 0.25 + 0.4 + 0.2)


@pytest.mark.parametrize(
    ("score", "status"),
    [(1, "HEALTHY"), (0.9, "HEALTHY"), (0.89, "DEGRADED"), (0.7, "DEGRADED"), (0.69, "UNHEALTHY"), (0.5, "UNHEALTHY"),
     (0.49, "CRITICAL"), (0, "CRITICAL"), (None, "INCONCLUSIVE")],
)  # fmt: skip
def test_the_bands_are_those_of_004(score: float | None, status: str) -> None:
    assert band(score) == status


def test_the_signals_see_a_collapse_of_latency_that_the_score_cannot() -> None:
    sample = assessed(ms=60_000)
    assert sample.score == pytest.approx(0.8)
    assert band(sample.score) == "DEGRADED"
    assert sample.status == "UNHEALTHY"
    assert failing(sample) == ["latency_p95", "latency_p99"]
    assert "the limit is 1000 ms" in sample.issues[0]
    assert len(sample.recommendations) == 2


def test_little_data_is_inconclusive_and_never_1() -> None:
    sample = assessed(requests=19, failures=19)
    assert (sample.score, sample.status) == (None, "INCONCLUSIVE")
    assert all(each.passed is not False for each in sample.signals)
    assert over_limits(Counts(began=0, requests=19, failures=19), Monitoring()) == ()
    nothing = assessed(requests=0, gateways=Gateways())
    assert (nothing.status, nothing.connection_score) == ("INCONCLUSIVE", None)


def test_a_gateway_that_cannot_load_it_is_critical_however_few_asked() -> None:
    sample = assessed(requests=0, gateways=Gateways(alive=2, ready=0))
    assert (sample.score, sample.status) == (0.0, "CRITICAL")
    assert "2 of 2 gateways" in sample.issues[0]


def test_a_gateway_that_fell_silent_is_no_connection_however_well_it_answered_before() -> None:
    gone = assessed(gateways=Gateways(silent=1))
    assert (gone.connection_score, gone.score, gone.status) == (None, None, "INCONCLUSIVE")
    assert assessed(gateways=Gateways()).connection_score == 1.0, "nobody ever said anything, and it answers"


def test_queue_overload_corrections_and_ratings_each_have_a_signal() -> None:
    wanted = Monitoring(min_accuracy=0.9, min_satisfaction=3.5)
    busy = assessed(gateways=Gateways(alive=1, ready=1, waiting=90, shed=3))
    assert failing(busy) == ["queue", "shed"]
    assert failing(assessed(monitoring=wanted, corrected=11)) == ["accuracy"]
    assert failing(assessed(monitoring=wanted, ratings=5, stars=10)) == ["satisfaction"]
    assert failing(assessed(monitoring=wanted, ratings=4, stars=4)) == [], "four ratings say too little"
    off = wanted.model_copy(update={"track_accuracy": False, "track_user_satisfaction": False, "track_latency": False})
    assert [each.name for each in assessed(monitoring=off).signals] == ["errors", "connection", "queue", "shed"]


@given(st.integers(0, 5), st.floats(0, 1) | st.none())
def test_a_failing_signal_never_makes_a_status_better(number: int, score: float | None) -> None:
    order = ["HEALTHY", "DEGRADED", "UNHEALTHY", "CRITICAL"]
    if score is None:
        assert shown(score, number) == "INCONCLUSIVE"
    else:
        assert order.index(shown(score, number)) >= max(order.index(band(score)), min(number, 2))


@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_quantiles_of_bins_are_within_a_hundredth(values: list[float], q: float) -> None:
    bins: dict[int, int] = {}
    for each in values:
        bins[bin_of(each)] = bins.get(bin_of(each), 0) + 1
    found = milliseconds(bins, q)
    assert found is not None
    exact = sorted(values)[min(len(values) - 1, int(q * len(values)))]
    ranks = sorted(values)
    near = [each for each in ranks if abs(found / each - 1) <= 0.011]
    assert near, (found, exact)
    above = sum(each > found * 1.011 for each in values)
    assert above <= (1 - q) * len(values) + 1e-9
    average = mean(bins)
    assert average is not None
    assert average == pytest.approx(sum(values) / len(values), rel=0.011)


def test_stretches_of_time_add_up() -> None:
    one = Counts(began=5, requests=3, failures=1, latencies={7: 2}, corrected=1)
    other = Counts(began=9, requests=2, latencies={7: 1, 8: 1}, ratings=1, stars=4)
    assert summed([one, other]) == Counts(
        began=5, requests=5, failures=1, latencies={7: 3, 8: 1}, corrected=1, ratings=1, stars=4
    )
