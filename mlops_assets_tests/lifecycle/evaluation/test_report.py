import pytest

from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.policy import Margin, Policy
from mlops_assets.core.records.evaluation import (
    Calibration,
    Comparison,
    Compression,
    Confusion,
    ConfusionPair,
    CrossCheck,
    EvalReport,
    ItemChange,
    Scanned,
    SetResult,
    SystemReport,
)
from mlops_assets.core.records.training import CandidateModel, CurvePoint
from mlops_assets.lifecycle.evaluation.examples import Shown
from mlops_assets.lifecycle.evaluation.report import evaluation_page, intervals_png, learning_curve_png

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
        "gain_lower": 0.017,
        "error": 0.0183,
        "harm": 0.999,
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


def report(*rows: Comparison, changes: tuple[ItemChange, ...] = (), **more: object) -> EvalReport:
    system = SystemReport(
        servable="c" * 64, seconds_per_unit=0.08, unit="second", size_bytes=75_000_000, load_seconds=1
    )
    golden = SetResult(
        name="golden", kind="golden", dataset="e" * 64, origin="synthetic", n=60, clusters=12, scores="f" * 64,
        gain_alpha=0.0025,
    )  # fmt: skip
    made = EvalReport(
        line="speech", batch_id="20260101-0123456789ab", systems={"candidate": system, "baseline": system},
        sets=(golden,), comparisons=rows, worst=changes, best=changes, scorer="english-v1/jiwer-4", infra_ok=True,
        alpha=0.05, resamples=10_000, seed=1,
    )  # fmt: skip
    return made.model_copy(update=more)


CURVE = tuple(CurvePoint(step=10 * i, loss=2 / (i + 1), held_out_loss=2.2 / (i + 1)) for i in range(6))


def test_the_page_shows_the_figures_and_says_synthetic_at_each():
    page = evaluation_page(LINE, candidate(CURVE), report(comparison(), comparison(slice="voice:slt")), {})
    for shown in ("0.11", "+0.06", "[0.08, 0.14]", "voice:slt", "early stopping", "75.0 MB", "e" * 64, "10000"):
        assert shown in page
    for shown in ("± 0.0183", "+0.017", "one look may spend, 0.0025"):
        assert shown in page
    assert page.count('class="origin synthetic"') == 5 + 2 + 1
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


def confusion(label: str = "verde", **changes: float | None) -> Confusion:
    pair = {"candidate": 0.2, "production": 0.05, "delta": 0.15, "lower": 0.04, "upper": 0.26}
    return Confusion(
        set_name="golden", origin="synthetic", labels=(label, "hoja"),
        candidate=((32, 8, 0), (1, 38, 1)), production=((38, 2, 0), (0, 40, 0)),
        pairs=(ConfusionPair.model_validate({"label": label, "predicted": "hoja", "n": 40} | pair | changes),),
    )  # fmt: skip


def test_confusion_is_a_table_and_a_sentence():
    page = evaluation_page(LINE, candidate(), report(comparison(), confusions=(confusion(),)), {})
    assert "The candidate confuses verde with hoja 15 % more often than production: 20 % against 5 % of 40" in page
    assert "(difference +4 to +26 points, synthetic data)" in page
    assert page.count('class="heat"') == 2
    assert ">38<" in page


def test_what_may_be_chance_is_not_said():
    unsure = report(comparison(), confusions=(confusion(lower=-0.01),))
    page = evaluation_page(LINE, candidate(), unsure, {})
    assert "The candidate confuses" not in page
    assert "No pair of labels is surely confused more" in page


def test_cross_checks_are_told_with_what_they_are_about():
    check = CrossCheck(
        set_name="golden",
        metric="wer",
        test="permutation",
        quantity="swapped by cluster",
        n=12,
        statistic=0.06,
        p=0.031,
    )
    page = evaluation_page(LINE, candidate(), report(comparison(), cross_checks=(check,)), {})
    for said in ("Cross-checks", "permutation", "wer: swapped by cluster", "0.031"):
        assert said in page


@pytest.mark.parametrize(
    ("harmed", "said"),
    [(True, "Surely harmed, of 1 golden slices"), (False, "None of 1 golden slices is surely harmed")],
)
def test_a_scan_names_the_slices_that_are_surely_harmed(harmed: bool, said: str):
    found = Scanned(
        set_name="golden", slice=HOSTILE, metric="wer", n=20, clusters=6, delta=-0.04, p=0.004, adjusted=0.012,
        harmed=harmed,
    )  # fmt: skip
    page = evaluation_page(LINE, candidate(), report(comparison(), comparison(slice=HOSTILE), scan=(found,)), {})
    assert said in page
    assert ("p 0.012" in page) is harmed
    assert "<script" not in page


def test_labels_of_users_are_escaped_in_tables_and_sentences():
    page = evaluation_page(LINE, candidate(), report(comparison(), confusions=(confusion(HOSTILE),)), {})
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 4


def test_calibration_is_drawn_for_each_set_and_system():
    bins = ((0.55, 0.5, 10), (0.95, 0.8, 30))
    drawn = tuple(
        Calibration(set_name=name, system=system, error=0.125, bins=bins)
        for name in ("golden", "human")
        for system in ("candidate", "production")
    )
    page = evaluation_page(LINE, candidate(), report(comparison(), calibrations=drawn), {})
    assert page.count("is off by 12.5 % on average") == 4
    assert 'aria-label="Accuracy over confidence"' in page


def test_what_the_export_costs_is_told():
    made = Compression(
        set_name="golden", metric="wer", n=60, agreement=0.985, delta=-0.002, lower=-0.01, upper=0.006,
        size_ratio=0.27, latency_ratio=0.4,
    )  # fmt: skip
    page = evaluation_page(LINE, candidate(), report(comparison(reference=0.108), compression=(made,)), {})
    for said in ("98.5 %", "27 %", "40 %", "Full precision", "0.108"):
        assert said in page


@pytest.mark.parametrize(
    ("classical", "as_good"), [(0.13, True), (0.05, True), (0.14, True), (0.15, False), (None, False)]
)
def test_a_classical_method_within_the_interval_is_as_good(classical: float | None, as_good: bool):
    page = evaluation_page(LINE, candidate(), report(comparison(classical=classical)), {})
    assert ("the task does not need a network" in page) is as_good
    assert (">Classical<" in page) is (classical is not None)


def test_a_candidate_that_learned_nothing_says_nothing_of_networks():
    page = evaluation_page(LINE, candidate(), report(comparison(candidate=0.22, classical=0.1)), {})
    assert "does not need a network" not in page


def test_classes_have_a_table_of_their_own():
    rows = [
        comparison(metric=f"{kind}_class_{label}", higher_is_better=True)
        for label in ("maduro", "verde")
        for kind in ("precision", "recall", "f1")
    ]
    page = evaluation_page(LINE, candidate(), report(comparison(), *rows), {})
    assert "Classes of golden" in page
    assert page.count(">maduro</th>") == 1
    assert "f1_class_maduro" not in page


def test_changed_items_come_with_their_input():
    change = ItemChange(set_name="golden", item="i1", reference="a", production="a", candidate="b", change=-1)
    inputs = {("golden", "i1"): Shown(text="the <b>text</b>", picture="data:image/jpeg;base64,AAAA")}
    page = evaluation_page(LINE, candidate(), report(comparison(), changes=(change,)), inputs)
    assert "the &lt;b&gt;text&lt;/b&gt;" in page
    assert 'alt="Picture of a" src="data:image/jpeg;base64,AAAA"' in page


def test_a_line_without_production_intervals_or_curve_has_a_page():
    missing = dict.fromkeys(
        ("production", "baseline", "candidate_interval", "production_interval", "delta", "lower", "upper", "gain_lower",
         "error", "harm", "detectable", "items_needed")
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
