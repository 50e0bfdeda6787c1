"""The benchmark of decisions can tell: a rule that is broken shows in its figures."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from mlops_assets.core.policy import Policy
from mlops_assets.core.records.decision import Evidence
from mlops_assets.core.records.evaluation import Comparison
from mlops_assets.lifecycle.decide import rules
from mlops_assets.lifecycle.decide.ruling import Ruling

FEW = 100


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    return importlib.import_module("decision_quality")


def lenient(evidence: Evidence, policy: Policy) -> Ruling:
    """Approve whatever has a lower bound above -1."""
    raised = tuple(_raised(each) for each in evidence.comparisons)
    return rules.verdict(evidence.model_copy(update={"comparisons": raised}), policy)


def _raised(found: Comparison) -> Comparison:
    bounds = ("delta", "lower", "upper", "gain_lower")
    return found.model_copy(update={name: (getattr(found, name) or 0.0) + 1 for name in bounds})


def share(figures: dict[str, str], name: str) -> float:
    figure = next(value for key, value in figures.items() if name in key)
    return float(figure.split("%")[0]) / 100


def test_a_rule_that_approves_too_easily_shows_in_the_promotions(benchmark: ModuleType):
    assert share(benchmark.promotions(FEW, rule=lenient), "wrongly approved") > 0.9
    assert share(benchmark.promotions(FEW), "wrongly approved") < 0.1


def test_a_rule_that_approves_too_easily_shows_in_a_season(benchmark: ModuleType):
    played = benchmark.Played(benchmark.WORLDS[0], seed=1, candidates=4, bred=False, sealed=False)
    assert benchmark.season(played, rule=lenient).promoted == 4
    assert benchmark.season(played, rule=rules.verdict).promoted == 0


def test_a_candidate_that_is_better_is_found(benchmark: ModuleType):
    world = benchmark.WORLDS[0]
    assert benchmark.found((world, 1, 0.034))
    assert not benchmark.found((world, 1, 0.0))
