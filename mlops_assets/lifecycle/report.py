"""The evaluation page: what a person reads before believing, or overruling, a decision.

One HTML file without any request to elsewhere, so that it opens from MLflow, from the artifact store and from a mail
alike. Transcripts come from users: the template escapes every value, and no text of theirs reaches a plot. The page
states what was measured and no verdict; wherever a figure comes from synthetic data it says so.
"""

import base64
import io
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from mlops_assets.core.line import Line
from mlops_assets.core.records import CandidateModel, Comparison, EvalReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"candidate": "#2a78c2", "production": "#8a8f98", "baseline": "#c9a227"}


def evaluation_page(line: Line, candidate: CandidateModel, report: EvalReport) -> str:
    """Return the self-contained HTML page of one evaluation, plots inline."""
    environment = Environment(
        loader=PackageLoader("mlops_assets", "lifecycle"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "interval": _interval, "megabytes": _megabytes, "signed": _signed}
    return environment.get_template("report.html.j2").render(
        line=line,
        candidate=candidate,
        report=report,
        primary=_primary(line, report),
        wholes=[row for row in report.comparisons if row.slice is None],
        slices=[row for row in report.comparisons if row.slice and row.metric == line.policy.primary.metric],
        intervals=base64.b64encode(intervals_png(report)).decode(),
        curve=base64.b64encode(learning_curve_png(candidate)).decode() if candidate.curve else None,
    )


def learning_curve_png(candidate: CandidateModel) -> bytes:
    """Return a PNG of training and held-out loss per step; an empty picture that says so when there is no curve."""
    figure = _figure(3.0)
    axes = figure.subplots()
    for name, colour, label in (
        ("loss", COLOURS["production"], "training"),
        ("held_out_loss", COLOURS["candidate"], "held out"),
    ):
        points = [(point.step, getattr(point, name)) for point in candidate.curve if getattr(point, name) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, label=label)
    if axes.lines:
        axes.legend(frameon=False)
        axes.set(xlabel="step", ylabel="loss")
    else:
        axes.text(0.5, 0.5, "no learning curve was recorded", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
    return _png(figure)


def intervals_png(report: EvalReport) -> bytes:
    """Return a PNG of every whole-set metric: the systems side by side, with their intervals where there are any."""
    rows = [row for row in report.comparisons if row.slice is None]
    figure = _figure(1.2 + 0.55 * max(len(rows), 1))
    axes = figure.subplots()
    for position, row in enumerate(rows):
        points = (
            ("candidate", row.candidate, row.candidate_interval),
            ("production", row.production, row.production_interval),
            ("baseline", row.baseline, None),
        )
        for offset, (system, value, interval) in zip((-0.2, 0.0, 0.2), points, strict=True):
            if value is None:
                continue
            if interval is not None:
                axes.plot(interval, [position + offset] * 2, color=COLOURS[system], linewidth=3, alpha=0.45)
            axes.plot([value], [position + offset], "o", color=COLOURS[system], label=system, markersize=6)
    axes.set_yticks(
        range(len(rows)), [f"{row.metric} · {row.set_name}\n{_said(row)}" for row in rows], parse_math=False
    )
    axes.invert_yaxis()
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if handles:
        figure.legend(handles.values(), handles.keys(), frameon=False, ncols=3, loc="outside upper center")
    return _png(figure)


def _figure(height: float) -> "Figure":
    """Return a figure that belongs to no global state: reports are made in threads of a server."""
    from matplotlib.figure import Figure

    return Figure(figsize=(8.0, height), dpi=110, layout="constrained")


def _png(figure: "Figure") -> bytes:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _primary(line: Line, report: EvalReport) -> Comparison | None:
    """Return the comparison the policy decides by: the primary metric on the golden set."""
    golden = {result.name for result in report.sets if result.kind == "golden"}
    rows = (row for row in report.comparisons if row.metric == line.policy.primary.metric and row.slice is None)
    return next((row for row in rows if row.set_name in golden), None)


def _said(row: Comparison) -> str:
    return f"{row.n} items, {row.origin}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4g}"


def _interval(value: tuple[float, float] | None) -> str:
    return "" if value is None else f"[{value[0]:.4g}, {value[1]:.4g}]"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
