"""The curves of a line's report; what is a table of shares is a table in the page."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from mlops_assets.lifecycle import plots
from mlops_assets.lifecycle.line_report.content import BatchRow, Curve, Distribution, Measured
from mlops_assets.lifecycle.line_report.exploration import BATCHES, GOLDEN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_METRICS = 4
COLUMNS = 3
GROUPS = {GOLDEN: plots.COLOURS["baseline"], BATCHES: plots.COLOURS["candidate"]}


def quality(batches: Sequence[BatchRow], least: float) -> "Figure":
    """Draw the quality score of every batch in order of arrival, and the least that is trained on."""
    figure = plots.figure(2.6)
    (axes,) = plots.drawn(figure)
    scores = [(at, each.quality_score) for at, each in enumerate(batches, 1) if each.quality_score is not None]
    axes.plot(*zip(*scores, strict=True), color=plots.COLOURS["candidate"], linewidth=1, alpha=0.4)
    for good, colour in ((True, plots.COLOURS["candidate"]), (False, "#d9483c")):
        part = [each for each in scores if (each[1] >= least) is good]
        if part:
            axes.scatter(*zip(*part, strict=True), s=34, color=colour, label="trained on" if good else "below the gate")
    axes.axhline(least, color=plots.INK, alpha=0.4, linewidth=1, linestyle="--", label=f"least: {least:g}")
    axes.set(ylim=(-0.4, 10.4), xlim=(0.5, len(batches) + 0.5))
    _whole_numbers(axes)
    plots.named(axes, x="batch, in order of arrival", y="quality, of 10")
    plots.legend(figure)
    return figure


def distributions(found: Sequence[Distribution]) -> "Figure":
    """Draw each quantity as shares of the golden set and of the batches; the last bin holds the longest tail."""
    columns = min(len(found), COLUMNS)
    rows = -(-len(found) // columns)
    figure = plots.figure(0.5 + 2.3 * rows)
    every = plots.drawn(figure, rows, columns)
    for axes, each in zip(every, found, strict=False):
        for group, colour in GROUPS.items():
            counts = each.counts.get(group, ())
            if sum(counts):
                shares = [count / sum(counts) for count in counts]
                axes.stairs(shares, each.edges, color=colour, fill=True, alpha=0.25)
                axes.stairs(shares, each.edges, color=colour, linewidth=1.3, label=group)
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        plots.named(axes, title=each.quantity)
    for axes in every[len(found) :]:
        axes.set_axis_off()
    plots.legend(figure)
    return figure


def trend(measured: Sequence[Measured]) -> "Figure":
    """Draw the metrics of every candidate on the golden set over time, beside what served and the simple methods."""
    names = list(dict.fromkeys(each.comparison.metric for each in measured))[:SHOWN_METRICS]
    order = {batch: at for at, batch in enumerate(dict.fromkeys(each.batch_id for each in measured), 1)}
    figure = plots.figure(0.6 + 2.4 * len(names))
    for axes, name in zip(plots.drawn(figure, len(names)), names, strict=True):
        rows = [each for each in measured if each.comparison.metric == name]
        for system, style in (("production", "-"), ("baseline", "--"), ("classical", ":")):
            points = [(order[each.batch_id], getattr(each.comparison, system)) for each in rows]
            known = [point for point in points if point[1] is not None]
            if known:
                colour = plots.COLOURS[system]
                axes.plot(
                    *zip(*known, strict=True),
                    linestyle=style,
                    color=colour,
                    marker=".",
                    label=plots.SAID.get(system, system),
                )
        for each in rows:
            at, released = order[each.batch_id], each.version is not None
            if each.comparison.candidate_interval:
                axes.plot(
                    [at] * 2,
                    each.comparison.candidate_interval,
                    color=plots.COLOURS["candidate"],
                    alpha=0.4,
                    linewidth=4,
                )
            colour = plots.COLOURS["candidate"]
            axes.plot(at, each.comparison.candidate, "o", color=colour, markerfacecolor=colour if released else "none",
                      label="candidate, released" if released else "candidate, not released")  # fmt: skip
            if released:
                axes.annotate(f"v{each.version}", (at, each.comparison.candidate), xytext=(9, 0), color=plots.INK,
                              textcoords="offset points", fontsize=9, va="center")  # fmt: skip
        for before, after in pairwise(rows):
            if before.golden != after.golden:
                axes.axvline(
                    order[after.batch_id] - 0.5, color=plots.INK, alpha=0.5, linestyle="-.", label="new golden set"
                )
        comparison = rows[0].comparison
        axes.set_xlim(0.6, len(order) + 0.6)
        _whole_numbers(axes)
        better = "higher" if comparison.higher_is_better else "lower"
        plots.named(axes, title=f"{name} ({better} is better)", x="evaluation, in order" if name == names[-1] else "")
    plots.legend(figure, columns=4)
    return figure


def curves(found: Sequence[Curve]) -> "Figure":
    """Draw the held-out losses of candidates over each other (training losses where none was held out)."""
    from matplotlib import colormaps

    figure = plots.figure(3.4)
    (axes,) = plots.drawn(figure)
    colours = colormaps["viridis"]([0.15 + 0.7 * at / max(len(found) - 1, 1) for at in range(len(found))])
    for each, colour in zip(found, colours, strict=True):
        held_out = [(point.step, point.held_out_loss) for point in each.points if point.held_out_loss is not None]
        points = held_out or [(point.step, point.loss) for point in each.points if point.loss is not None]
        if points:
            name = f"v{each.version}" if each.version else f"{each.batch_id}, not released"
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.8, marker=".", label=name)
    plots.named(axes, x="step", y="loss")
    plots.legend(figure, columns=3)
    return figure


def _whole_numbers(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
