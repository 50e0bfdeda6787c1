"""Curves of pages and of the Dagster UI, drawn by Matplotlib; heat maps and bars are tables of the pages themselves.

An SVG takes the colour of the page's text, so the same picture is right in light and in dark. Figures belong to no
global state: reports are made in threads of a server.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"  # in an SVG it becomes the colour of the page's text
COLOURS = {
    "candidate": "#2f7fd1",
    "production": "#8a8f98",
    "baseline": "#c9962b",
    "reference": "#8d6fd1",
    "classical": "#2f9e77",
}
SAID = {"reference": "full precision", "baseline": "base model"}  # other systems are called what they are
WIDTH = 9.6


def figure(height: float) -> "Figure":
    """Return an empty figure of the width of a page; `height` in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), dpi=100, layout="constrained")


def png(made: "Figure") -> bytes:
    """Return a figure as PNG on white, for places that show no SVG."""
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def svg(made: "Figure", says: str) -> Markup:
    """Return a figure as SVG to stand in a page; `says` is what it shows, for those who do not see it."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": says}):
        made.savefig(buffer, format="svg", transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for useless in (r"<metadata>.*?</metadata>", r' xmlns(:xlink)?="[^"]*"', r' id="[A-Za-z0-9.]+_[0-9_]+"'):
        text = re.sub(useless, "", text, flags=re.DOTALL)
    text = re.sub(r'<svg width="[^"]*" height="[^"]*"', "<svg", text, count=1)
    text = text.replace(INK, "currentColor")
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{escape(says)}"', 1))


def drawn(made: "Figure", rows: int = 1, columns: int = 1) -> "list[Axes]":
    """Return new axes of a figure in reading order, with quiet spines and grid."""
    every = list(made.subplots(rows, columns, squeeze=False).flat)
    for axes in every:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set(color=INK, alpha=0.35)
        axes.tick_params(colors=INK, labelsize=9, length=3, width=0.6)
        axes.grid(alpha=0.12, color=INK)
        axes.set_axisbelow(True)
    return every


def named(axes: "Axes", *, x: str = "", y: str = "", title: str = "") -> None:
    """Write the names of the axes; none of it is read as a formula."""
    axes.set_xlabel(x, color=INK, fontsize=9, parse_math=False)
    axes.set_ylabel(y, color=INK, fontsize=9, parse_math=False)
    axes.set_title(title, color=INK, fontsize=10, loc="left", parse_math=False)


def legend(made: "Figure", columns: int = 5) -> None:
    """Write one legend above all axes of a figure, each name once."""
    handles = {
        name: handle for axes in made.axes for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if handles:
        made.legend(
            handles.values(),
            handles.keys(),
            frameon=False,
            ncols=columns,
            fontsize=9,
            labelcolor=INK,
            loc="outside upper left",
        )


def calibration(sets: Mapping[str, Mapping[str, Sequence[tuple[float, float, int]]]]) -> "Figure":
    """Draw accuracy over confidence per set and system, of bins (mean confidence, accuracy, items); dots grow."""
    columns = min(len(sets), 3)
    rows = -(-len(sets) // columns)
    made = figure(0.5 + 3.1 * rows)
    every = drawn(made, rows, columns)
    for axes, (name, systems) in zip(every, sets.items(), strict=False):
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.3, linewidth=1, linestyle="--", label="as sure as right")
        for system, bins in systems.items():
            filled = [each for each in bins if each[2]]
            largest = max((each[2] for each in filled), default=1)
            points = [each[0] for each in filled], [each[1] for each in filled]
            axes.plot(*points, color=COLOURS[system], linewidth=1.5, alpha=0.6, label=SAID.get(system, system))
            axes.scatter(*points, [12 + 90 * each[2] / largest for each in filled], color=COLOURS[system])
        axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        named(axes, x="confidence", y="share that is right", title=name)
    for axes in every[len(sets) :]:
        axes.set_axis_off()
    legend(made)
    return made
