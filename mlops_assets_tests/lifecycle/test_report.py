import pytest

from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.policy import Margin, Policy
from mlops_assets.core.records import (
    CandidateModel,
    Comparison,
    CurvePoint,
    EvalReport,
    ItemChange,
    SetResult,
    SystemReport,
)
from mlops_assets.lifecycle.report import evaluation_page, intervals_png, learning_curve_png

PNG = b"\x89PNG\r\n\x1a\n"
HOSTILE = "<script>alert('$x_$')</script>"

LINE = Line(
    line="speech",
    family="speech",
    golden=EvaluationSet(path="data/golden/speech", origin="synthetic"),
    policy=Policy(primary=Margin(metric="wer", margin=0.003)),
)


def comparison(**changes: object) -> Comparison:
    row: dict[str, object] = {
        "metric": "wer",
        "set_name": "golden",
        "higher_is_better": False,
        "unit": "ratio",
        "candidate": 0.11,
        "production": 0.17,
        "baseline": 0.21,
        "candidate_interval": (0.08, 0.14),
        "production_interval": (0.14, 0.2),
        "delta": 0.06,
        "lower": 0.03,
        "upper": 0.09,
        "n": 60,
        "clusters": 12,
        "detectable": 0.04,
        "items_needed": 10_000,
        "origin": "synthetic",
    }
    return Comparison.model_validate(row | changes)


def candidate(curve: tuple[CurvePoint, ...] = ()) -> CandidateModel:
    return CandidateModel(
        line="speech", batch_id="20260101-0123456789ab", parent_version=None, parent_model="a" * 64, model="b" * 64,
        servable="c" * 64, recipe="d" * 64, seed=1, items=40, steps=30, seconds=61.5, device="cpu", curve=curve,
        stopped="early stopping", code_version="0.1.0",
    )  # fmt: skip


def report(*rows: Comparison, changes: tuple[ItemChange, ...] = ()) -> EvalReport:
    system = SystemReport(
        servable="c" * 64, seconds_per_unit=0.08, unit="second", size_bytes=75_000_000, load_seconds=1
    )
    golden = SetResult(
        name="golden", kind="golden", dataset="e" * 64, origin="synthetic", n=60, clusters=12, scores="f" * 64
    )
    return EvalReport(
        line="speech", batch_id="20260101-0123456789ab", systems={"candidate": system, "baseline": system},
        sets=(golden,), comparisons=rows, worst=changes, best=changes, scorer="english-v1/jiwer-4", infra_ok=True,
        alpha=0.05, resamples=10_000, seed=1,
    )  # fmt: skip


CURVE = tuple(CurvePoint(step=10 * i, loss=2 / (i + 1), held_out_loss=2.2 / (i + 1)) for i in range(6))


def test_the_page_shows_the_figures_and_says_synthetic_at_each():
    page = evaluation_page(LINE, candidate(CURVE), report(comparison(), comparison(slice="voice:slt")), {})
    for shown in ("0.11", "+0.06", "[0.08, 0.14]", "voice:slt", "early stopping", "75.0 MB", "e" * 64, "10000"):
        assert shown in page
    assert page.count('class="origin synthetic"') == 4 + 2 + 1
    assert page.count("<svg ") == 2


def test_hostile_text_is_escaped_and_nothing_is_loaded_from_elsewhere():
    change = ItemChange(
        set_name="golden", item=HOSTILE, reference=HOSTILE, production=HOSTILE, candidate=HOSTILE, change=-2
    )
    hostile = report(comparison(slice=HOSTILE), comparison(set_name=HOSTILE), changes=(change,))
    page = evaluation_page(LINE, candidate(CURVE), hostile, {})
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_line_without_production_intervals_or_curve_has_a_page():
    missing = dict.fromkeys(
        ("production", "baseline", "candidate_interval", "production_interval", "delta", "lower", "upper", "detectable",
         "items_needed")
    )  # fmt: skip
    page = evaluation_page(LINE, candidate(), report(comparison(**missing)), {})
    assert "No learning curve" in page
    assert "None" not in page


def test_an_evaluation_without_any_comparison_has_a_page():
    assert "gave no figure" in evaluation_page(LINE, candidate(), report(), {})


@pytest.mark.parametrize("curve", [(), CURVE, (CurvePoint(step=1),)])
def test_plots_are_png_and_deterministic(curve: tuple[CurvePoint, ...]):
    assert learning_curve_png(candidate(curve)).startswith(PNG)
    assert intervals_png(report(comparison())) == intervals_png(report(comparison()))
