from pathlib import Path
from typing import cast

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from mlops_assets.core.policy import Margin, Policy
from mlops_assets.core.records.data import Item
from mlops_assets.core.records.evaluation import EvalReport, System, SystemReport
from mlops_assets.families.baseline import FAMILY
from mlops_assets.lifecycle.evaluation.comparing import ScoredSet
from mlops_assets.lifecycle.evaluation.confusing import calibrations, compression, confusion
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit

LABELS = ("leaf", "ripe", "unripe")
POLICY = Policy(primary=Margin(metric="accuracy", margin=0.02), resamples=1000)
CONFIG = FAMILY.Config.model_validate({"labels": LABELS})


def scored(truth: list[str], said: dict[System, list[str]], sure: float = 0.8) -> ScoredSet:
    items = [Item(id=str(at), value="", target=label, cluster=str(at)) for at, label in enumerate(truth)]
    predictions = {name: [{"label": each, "confidence": sure} for each in answers] for name, answers in said.items()}
    return ScoredSet(
        name="golden",
        kind="golden",
        dataset="d" * 64,
        origin="synthetic",
        items=items,
        predictions=predictions,
        scores={name: FAMILY.score(items, each, CONFIG) for name, each in predictions.items()},
    )


def test_counts_are_scikit_learns_and_what_is_no_label_has_a_column() -> None:
    truth = ["leaf"] * 10 + ["ripe"] * 10 + ["unripe"] * 10
    said = truth[5:] + ["zebra"] * 5
    found = confusion(scored(truth, {"candidate": said}), FAMILY, LABELS, POLICY)
    assert found is not None
    expected = confusion_matrix(truth, said, labels=[*LABELS, "zebra"])[:3]
    np.testing.assert_array_equal(np.array(found.candidate), expected)
    assert found.production is None


def test_the_confusion_that_grew_most_comes_first_with_its_bounds() -> None:
    truth = ["unripe"] * 100 + ["ripe"] * 50
    production = ["unripe"] * 90 + ["leaf"] * 10 + ["unripe"] * 20 + ["ripe"] * 30
    candidate = ["unripe"] * 75 + ["leaf"] * 25 + ["ripe"] * 50
    found = confusion(scored(truth, {"candidate": candidate, "production": production}), FAMILY, LABELS, POLICY)
    assert found is not None
    worst, best = found.pairs
    assert (worst.label, worst.predicted, worst.n) == ("unripe", "leaf", 100)
    assert (worst.candidate, worst.production, worst.delta) == pytest.approx((0.25, 0.10, 0.15))
    assert worst.lower is not None
    assert worst.upper is not None
    assert 0.05 < worst.lower < 0.15 < worst.upper < 0.25
    assert (best.label, best.predicted, best.delta) == ("ripe", "unripe", pytest.approx(-0.4))


def test_confidence_is_held_against_accuracy() -> None:
    truth = ["leaf"] * 10
    (found,) = calibrations(scored(truth, {"candidate": ["leaf"] * 6 + ["ripe"] * 4}), FAMILY, LABELS)
    assert found.bins == ((pytest.approx(0.8), pytest.approx(0.6), 10),)
    assert found.error == pytest.approx(0.2)


def test_an_export_is_held_against_its_twin() -> None:
    truth = ["leaf", "ripe"] * 30
    flipped = ["ripe" if at < 4 else each for at, each in enumerate(truth)]
    systems = {
        name: SystemReport(servable="a" * 64, seconds_per_unit=cost, unit="text", size_bytes=size, load_seconds=0)
        for name, cost, size in (("candidate", 0.1, 250), ("reference", 0.3, 1000))
    }
    found = compression(
        scored(truth, {"candidate": flipped, "reference": truth}),
        FAMILY,
        FAMILY.metrics(CONFIG)[0],
        POLICY,
        cast(dict[System, SystemReport], systems),
    )
    assert found is not None
    assert (found.agreement, found.delta, found.size_ratio) == pytest.approx((58 / 60, -2 / 60, 0.25))
    assert found.latency_ratio == pytest.approx(1 / 3)
    assert found.lower is not None
    assert found.lower < -2 / 60


def test_a_chain_reports_confusion_and_calibration_of_its_own_sets(tmp_path: Path) -> None:
    platform, line = open_light_line(tmp_path)
    run(platform, line, submit(platform, line, "good"))
    batch = submit(platform, line, "wrong")
    run(platform, line, batch)
    report = platform.records.get(line.line, batch, "eval_report")
    assert isinstance(report, EvalReport)
    by_set = {each.set_name: each for each in report.confusions}
    assert set(by_set) == {each.name for each in report.sets}
    golden = by_set["golden"]
    assert sum(map(sum, golden.candidate)) == next(each.n for each in report.sets if each.name == "golden")
    assert golden.pairs[0].delta is not None
    assert golden.pairs[0].delta > 0.1
    assert {each.system for each in report.calibrations} == {"candidate", "production"}
    assert report.compression == ()
