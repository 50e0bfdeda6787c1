from pathlib import Path

import numpy as np
import pytest

from mlops_assets.core.errors import TaskFailed
from mlops_assets.core.family import ItemScore, MetricSpec
from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.policy import Margin, Policy
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import Item
from mlops_assets.core.records.evaluation import CrossCheck
from mlops_assets.core.significance import mcnemar
from mlops_assets.lifecycle.evaluation.comparing import ScoredSet, comparisons, cross_checks, scan, set_result
from mlops_assets.lifecycle.evaluation.evaluate import contest, evaluate
from mlops_assets.lifecycle.evaluation.evaluation_sets import sealed_set
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets.lifecycle.training.base import base
from mlops_assets.lifecycle.training.train import train
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit
from mlops_assets_tests.lines import texts, write_rows

ACCURACY = MetricSpec(name="accuracy", higher_is_better=True, unit="share", title="Accuracy")
WER = MetricSpec(name="wer", higher_is_better=False, unit="ratio", title="WER")
POLICY = Policy(primary=Margin(metric="accuracy", margin=0.02), resamples=1000)
LINE = Line(
    line="a", family="baseline", golden=EvaluationSet(path="golden", origin="synthetic"),
    sealed=EvaluationSet(path="sealed", origin="synthetic"), policy=POLICY,
)  # fmt: skip


def scored(
    metric: MetricSpec, new: list[float], old: list[float], weight: float = 1, per_cluster: int = 1
) -> ScoredSet:
    """A golden set of items in slices 'part:0' to 'part:2', its systems scored by one metric."""
    items = [
        Item(id=str(at), value="", target="", cluster=str(at // per_cluster), slices=(f"part:{at * 3 // len(new)}",))
        for at in range(len(new))
    ]
    systems = {"candidate": new, "production": old}
    return ScoredSet(
        name="golden", kind="golden", dataset="d" * 64, origin="synthetic", items=items,
        predictions={system: ["x"] * len(new) for system in systems},  # pyright: ignore
        scores={
            system: [{metric.name: ItemScore(numerator=each, weight=weight)} for each in values]
            for system, values in systems.items()
        },  # pyright: ignore
    )  # fmt: skip


def by_test(checks: list[CrossCheck]) -> dict[str, CrossCheck]:
    return {each.test: each for each in checks}


def test_hits_are_checked_by_all_three_tests() -> None:
    found = by_test(
        cross_checks(scored(ACCURACY, [1.0] * 50 + [0.0] * 10, [1.0] * 30 + [0.0] * 25 + [1.0] * 5), ACCURACY, POLICY)
    )
    assert (found["mcnemar"].n, found["mcnemar"].statistic, found["mcnemar"].p) == (25, 20, mcnemar(20, 5))
    assert found["permutation"].p == pytest.approx(found["mcnemar"].p, abs=0.003)
    assert found["permutation"].statistic == pytest.approx(15 / 60)
    assert found["paired_t"].p < 0.01
    assert "not ratio of sums" in found["paired_t"].quantity


def test_word_errors_have_no_mcnemar_and_fewer_are_better() -> None:
    rng = np.random.default_rng(1)
    old = rng.integers(0, 4, 60)
    new = np.maximum(old - rng.integers(0, 2, 60), 0)
    found = by_test(cross_checks(scored(WER, list(new), list(old), weight=8, per_cluster=5), WER, POLICY))
    assert set(found) == {"paired_t", "permutation"}
    assert found["permutation"].n == 12
    assert found["permutation"].statistic == pytest.approx((old.sum() - new.sum()) / 480)
    assert max(each.p for each in found.values()) < 0.001


def test_a_system_that_was_not_measured_is_not_checked() -> None:
    alone = scored(ACCURACY, [1.0] * 9, [1.0] * 9)
    del alone.scores["production"]  # pyright: ignore
    assert cross_checks(alone, ACCURACY, POLICY) == []


def test_a_scan_finds_the_slice_that_is_harmed_and_allows_for_the_others() -> None:
    worse = [1.0] * 40 + [0.0] * 12 + [1.0] * 68
    found = {
        each.slice: each
        for each in scan(comparisons(scored(ACCURACY, worse, [1.0] * 120), (ACCURACY,), POLICY), POLICY)
    }
    assert [name for name, each in found.items() if each.harmed] == ["part:1"]
    assert found["part:1"].delta == pytest.approx(-0.3)
    assert found["part:1"].adjusted == pytest.approx(3 * found["part:1"].p)
    assert (found["part:0"].p, found["part:0"].adjusted) == (1, 1)


def test_a_scan_lets_a_slice_be_that_may_have_had_bad_luck() -> None:
    new, old = [1.0] * 40 + [0.0] * 12 + [1.0] * 68, [1.0] * 52 + [0.0] * 10 + [1.0] * 58
    found = scan(comparisons(scored(ACCURACY, new, old), (ACCURACY,), POLICY), POLICY)
    assert [each.delta for each in found] == pytest.approx([0, -0.05, 0])
    assert not any(each.harmed for each in found)


def test_slices_of_one_cluster_are_not_scanned() -> None:
    whole = scored(ACCURACY, [0.0] * 30, [1.0] * 30, per_cluster=10)
    assert scan(comparisons(whole, (ACCURACY,), POLICY), POLICY) == []


def test_a_set_says_what_a_look_at_it_may_spend_and_how_many_items_failed() -> None:
    made = set_result(scored(WER, [2.0, 3.0, 4.0, 2.0], [2.0, 2.0, 3.0, 2.0], weight=10), WER, LINE, "s" * 64)
    assert (made.gain_alpha, made.failed_share, made.degraded_share) == (0.05, 0.5, 0.0)
    alone = LINE.model_copy(update={"sealed": None})
    assert set_result(scored(WER, [2.0], [2.0]), WER, alone, "s" * 64).gain_alpha == pytest.approx(0.0025)


def with_sealed(folder: Path) -> tuple[Platform, Line]:
    platform, line = open_light_line(folder)
    write_rows(folder / "sealed" / "texts.jsonl", texts(103, 60, users=20))
    sealed = EvaluationSet(path=str(folder / "sealed"), origin="synthetic")
    return platform, line.model_copy(update={"sealed": sealed})


def test_the_sealed_set_is_opened_by_a_contest_alone(tmp_path: Path) -> None:
    platform, line = with_sealed(tmp_path)
    batch = submit(platform, line, "good")
    validate(platform, line, batch)
    candidate = train(platform, line, batch)
    report = evaluate(platform, line, batch)
    assert {each.kind for each in report.sets} == {"golden", "critical", "holdout"}
    assert {each.set_name for each in report.cross_checks} == {"golden"}
    golden = next(each for each in report.sets if each.kind == "golden")
    assert golden.gain_alpha == 0.05

    sealed = sealed_set(platform, line)
    assert sealed is not None
    servables = {"candidate": candidate.servable, "production": base(platform, line).servable}
    found = contest(platform, line, batch, servables, [sealed])  # pyright: ignore
    (result,), (whole, *_) = found.sets, found.comparisons
    assert (result.kind, result.n, result.gain_alpha) == ("sealed", 60, 0.01)
    assert (whole.metric, whole.set_name) == ("accuracy", "sealed")
    assert whole.gain_lower is not None
    assert whole.lower is not None
    assert 0 < whole.gain_lower < whole.lower
    assert len(found.scored[0].scores["candidate"]) == 60
    assert contest(platform, line, batch, servables, [sealed]).comparisons == found.comparisons  # pyright: ignore


def test_a_contest_that_cannot_be_held_fails(tmp_path: Path) -> None:
    platform, line = with_sealed(tmp_path)
    sealed = sealed_set(platform, line)
    assert sealed is not None
    (tmp_path / "nothing").mkdir()
    empty = platform.store.put_folder(tmp_path / "nothing")
    with pytest.raises(TaskFailed):
        contest(platform, line, "20260101-0123456789ab", {"candidate": empty}, [sealed])


def test_a_report_stands_until_a_number_of_the_policy_changes(tmp_path: Path) -> None:
    platform, line = open_light_line(tmp_path)
    run(platform, line, submit(platform, line, "good"))
    batch = submit(platform, line, "small")
    validate(platform, line, batch)
    train(platform, line, batch)
    first = evaluate(platform, line, batch)

    def again(**changes: object):
        policy = line.policy.model_copy(update=changes)
        return evaluate(platform, line.model_copy(update={"policy": policy}), batch)

    assert again(auto_deploy=False) == first
    stricter = again(looks_budget=40)
    assert [each.gain_alpha for each in stricter.sets if each.kind == "golden"] == [0.05 / 40]
    assert (
        again(primary=Margin(metric="accuracy", margin=0.04)).comparisons[0].items_needed
        != first.comparisons[0].items_needed
    )
