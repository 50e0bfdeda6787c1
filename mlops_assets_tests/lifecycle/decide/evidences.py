"""Evidence for tests of the decision: a clear improvement, to be spoilt one field at a time."""

from typing import Any, cast

from mlops_assets.core.policy import Margin, Policy, SliceMargin
from mlops_assets.core.records.decision import Evidence
from mlops_assets.core.records.evaluation import (
    Comparison,
    ContributorReport,
    Scanned,
    SetKind,
    SetResult,
    SystemReport,
)
from mlops_assets.core.records.purchases import SeedGain, TrainingNoise

POLICY = Policy(
    primary=Margin(metric="wer", margin=0.003),
    business=(Margin(metric="cer", margin=0.002),),
    protected=(SliceMargin(metric="wer", slice="voice:kal", margin=0.02),),
)


def comparison(set_name: str = "golden", **changes: Any) -> Comparison:
    values: dict[str, Any] = {
        "metric": "wer",
        "set_name": set_name,
        "higher_is_better": False,
        "unit": "ratio",
        "candidate": 0.18,
        "production": 0.22,
        "baseline": 0.25,
        "delta": 0.04,
        "lower": 0.02,
        "upper": 0.06,
        "gain_lower": 0.01,
        "error": 0.012,
        "harm": 0.99,
        "n": 120,
        "clusters": 12,
        "detectable": 0.02,
        "items_needed": 5000,
        "origin": "synthetic",
    }
    return Comparison(**(values | changes))


def set_result(name: str = "golden", kind: str = "golden", **changes: Any) -> SetResult:
    values = {"dataset": "d" * 64, "origin": "synthetic", "n": 120, "clusters": 12, "scores": "5" * 64}
    spent = POLICY.gain_alpha(cast(SetKind, kind), sealed=False)
    return SetResult.model_validate({"name": name, "kind": kind, "gain_alpha": spent, **values, **changes})


def evidence(policy: Policy = POLICY, **changes: Any) -> Evidence:
    systems = {
        "candidate": SystemReport(
            servable="c" * 64, seconds_per_unit=0.1, unit="second of audio", size_bytes=1000, load_seconds=1
        ),
        "production": SystemReport(
            servable="a" * 64, version=1, seconds_per_unit=0.1, unit="second of audio", size_bytes=1000, load_seconds=1
        ),
    }
    values: dict[str, Any] = {
        "line": "speech",
        "batch_id": "20260101-0123456789ab",
        "candidate": "c" * 64,
        "production": "a" * 64,
        "production_version": 1,
        "golden": {"golden": "d" * 64},
        "policy": policy.digest,
        "contributor": "ann",
        "kept": 100,
        "dropped_share": 0.0,
        "quality_score": 9.0,
        "report": "e" * 64,
        "infra_ok": True,
        "sets": (set_result(), set_result("human", "critical")),
        "comparisons": (
            comparison(),
            comparison(slice="voice:kal"),
            comparison("human", delta=0.0, lower=-0.01, upper=0.01, candidate=0.22),
        ),
        "systems": systems,
        "looks": 1,
        "code_version": "test",
    }
    return Evidence(**(values | changes))


def with_comparison(base: Evidence, index: int, **changes: Any) -> Evidence:
    changed = list(base.comparisons)
    changed[index] = changed[index].model_copy(update=changes)
    return base.model_copy(update={"comparisons": tuple(changed)})


def scanned(name: str, *, harmed: bool) -> Scanned:
    values = {"set_name": "golden", "slice": name, "metric": "wer", "n": 30, "clusters": 12, "delta": -0.1, "p": 0.001}
    return Scanned.model_validate({**values, "adjusted": 0.01 if harmed else 0.2, "harmed": harmed})


def noise(seeds: int, lower: float | None) -> TrainingNoise:
    gains = tuple(SeedGain(seed=at, servable="c" * 64, delta=0.04) for at in range(seeds))
    return TrainingNoise(set_name="golden", metric="wer", seeds=gains, mean=0.04, deviation=0.02, lower=lower)


def contributor(name: str, share: float, *, outlier: bool = False) -> ContributorReport:
    return ContributorReport(contributor=name, items=int(100 * share), share=share, disagreement=0.4, outlier=outlier)
