"""The evaluation page: what a person reads before believing, or overruling, a decision.

It states what was measured and no verdict; wherever a figure comes from synthetic data it says so. Which systems,
labels and calibrations there are is what the report holds: the page knows no family.
"""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from mlops_assets.core.line import Line
from mlops_assets.core.records.decision import Evidence
from mlops_assets.core.records.evaluation import Comparison, ConfusionPair, EvalReport
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle import plots
from mlops_assets.lifecycle.evaluation.examples import Inputs
from mlops_assets.lifecycle.pages import number, percent, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_A_CLASS = "_class_"
DRAWN_GOLDEN, DRAWN = 6, 3
SHOWN_SLICES = 20
OTHERS = ("reference", "classical", "baseline")
TESTS = {"mcnemar": "McNemar, exact", "paired_t": "paired t", "permutation": "permutation"}


def evaluation_page(line: Line, candidate: CandidateModel, report: EvalReport, inputs: Inputs) -> str:
    """Return the self-contained HTML page of one evaluation; `inputs` are what can be shown of the changed items."""
    wholes = [row for row in report.comparisons if row.slice is None]
    primary = primary_comparison(line, report)
    return render(
        "evaluation/report.html.j2",
        line=line,
        candidate=candidate,
        report=report,
        inputs=inputs,
        primary=primary,
        classical=as_good_without_network(primary) if primary else None,
        confused=[sentence for sentence, _ in confusion_sentences(report)],
        others=[name for name in OTHERS if any(getattr(row, name) is not None for row in report.comparisons)],
        wholes=[row for row in wholes if OF_A_CLASS not in row.metric],
        classes=by_class(wholes),
        slices=[row for row in report.comparisons if row.slice and row.metric == line.policy.primary.metric],
        shown_slices=SHOWN_SLICES,
        tests=TESTS,
        intervals=plots.svg(_intervals(report), "Metrics of the systems with their intervals, per set"),
        curve=plots.svg(_learning_curve(candidate), "Loss per step") if candidate.curve else None,
        calibration=plots.svg(_calibration(report), "Accuracy over confidence") if report.calibrations else None,
    )


def primary_comparison(line: Line, report: EvalReport) -> Comparison | None:
    """Return the comparison the policy decides by: the primary metric on the golden set."""
    golden = {result.name for result in report.sets if result.kind == "golden"}
    rows = (row for row in report.comparisons if row.metric == line.policy.primary.metric and row.slice is None)
    return next((row for row in rows if row.set_name in golden), None)


def as_good_without_network(row: Comparison) -> str | None:
    """Return a sentence if the classical method is within the intervals of candidate and production, or better.

    A candidate that is no better than the base model says nothing about what a network can do.
    """
    sign = 1 if row.higher_is_better else -1
    if row.classical is None or (row.baseline is not None and sign * (row.candidate - row.baseline) <= 0):
        return None
    rivals = [(row.candidate, row.candidate_interval), (row.production, row.production_interval)]
    for value, interval in rivals:
        if value is None:
            continue
        low, high = interval or (value, value)
        if sign * row.classical < min(sign * low, sign * high):
            return None
    served = "" if row.production is None else f" and {number(row.production)} in production"
    return (
        f"The classical method scores as well: {row.metric} {number(row.classical)} against the candidate's "
        f"{number(row.candidate)}{served} on {row.set_name} ({row.n} items, {row.origin} data). "
        "By this evidence the task does not need a network."
    )


def confusion_sentences(report: EvalReport | Evidence) -> Iterator[tuple[str, ConfusionPair]]:
    """Yield a sentence for every pair of labels that the candidate confuses surely more, or surely less, often."""
    production = report.systems.get("production")
    before = f"v{production.version}" if production and production.version else "production"
    for confusion in report.confusions:
        for pair in confusion.pairs:
            if pair.delta is None or pair.lower is None or pair.upper is None or pair.lower <= 0 <= pair.upper:
                continue
            yield (
                f"The candidate confuses {pair.label} with {pair.predicted} {percent(abs(pair.delta))} "
                f"{'more' if pair.delta > 0 else 'less'} often than {before}: {percent(pair.candidate)} against "
                f"{percent(pair.production or 0)} of {pair.n} items of {confusion.set_name} "
                f"(difference {100 * pair.lower:+.0f} to {100 * pair.upper:+.0f} points, {confusion.origin} data).",
                pair,
            )


def by_class(rows: list[Comparison]) -> dict[str, dict[str, dict[str, Comparison]]]:
    """Return per-class comparisons by set, class and metric, of the metrics named '<metric>_class_<class>'."""
    found: dict[str, dict[str, dict[str, Comparison]]] = {}
    for row in rows:
        metric, of_a_class, label = row.metric.partition(OF_A_CLASS)
        if of_a_class:
            found.setdefault(row.set_name, {}).setdefault(label, {})[metric] = row
    return found


def learning_curve_png(candidate: CandidateModel) -> bytes:
    """Return a PNG of training and held-out loss per step; an empty picture that says so when there is no curve."""
    return plots.png(_learning_curve(candidate))


def intervals_png(report: EvalReport) -> bytes:
    """Return a PNG of every whole-set metric: the systems side by side, with their intervals where there are any."""
    return plots.png(_intervals(report))


def _learning_curve(candidate: CandidateModel) -> "Figure":
    figure = plots.figure(3.2)
    (axes,) = plots.drawn(figure)
    for name, colour, label in (
        ("loss", plots.COLOURS["production"], "training"),
        ("held_out_loss", plots.COLOURS["candidate"], "held out"),
    ):
        points = [(point.step, value) for point in candidate.curve if (value := getattr(point, name)) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, label=label)
    if axes.lines:
        plots.legend(figure)
        plots.named(axes, x="step", y="loss")
    else:
        axes.text(0.5, 0.5, "no learning curve was recorded", ha="center", transform=axes.transAxes, color=plots.INK)
        axes.set_axis_off()
    return figure


def _intervals(report: EvalReport) -> "Figure":
    rows = list(_drawn_rows(report))
    figure = plots.figure(1.1 + 0.62 * max(len(rows), 1))
    (axes,) = plots.drawn(figure)
    for position, row in enumerate(rows):
        points: list[tuple[str, float | None, tuple[float, float] | None]] = [
            ("candidate", row.candidate, row.candidate_interval),
            ("production", row.production, row.production_interval),
            *((name, getattr(row, name), None) for name in OTHERS),
        ]
        present = [(system, value, interval) for system, value, interval in points if value is not None]
        for at, (system, value, interval) in enumerate(present):
            height = position + 0.6 * ((at + 0.5) / len(present) - 0.5)
            if interval is not None:
                axes.plot(interval, [height] * 2, color=plots.COLOURS[system], linewidth=3.5, alpha=0.4)
            axes.plot(
                [value],
                [height],
                "o",
                color=plots.COLOURS[system],
                label=plots.SAID.get(system, system),
                markersize=5.5,
            )
    axes.set_yticks(
        range(len(rows)),
        [f"{row.metric} · {row.set_name}\n{row.n} items, {row.origin}" for row in rows],
        parse_math=False,
    )
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    plots.legend(figure)
    return figure


def _drawn_rows(report: EvalReport) -> Iterator[Comparison]:
    """Yield the most telling metrics of each set, more of a golden one; the table has them all."""
    for result in report.sets:
        rows = (row for row in report.comparisons if row.set_name == result.name)
        wholes = (row for row in rows if row.slice is None and OF_A_CLASS not in row.metric)
        yield from islice(wholes, DRAWN_GOLDEN if result.kind == "golden" else DRAWN)


def _calibration(report: EvalReport) -> "Figure":
    sets: dict[str, dict[str, tuple[tuple[float, float, int], ...]]] = {}
    for each in report.calibrations:
        sets.setdefault(each.set_name, {})[each.system] = each.bins
    return plots.calibration(sets)
