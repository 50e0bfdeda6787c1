"""Line charts as inline SVG: geometry here, marks in `pieces.html.j2`, colours in the style sheet.

A chart carries its figures, too, as a table: who cannot see it, or does not trust it, reads them.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal

from pydantic import Field

from mlops_assets.core.records.base import Record

WIDTH, HEIGHT = 640.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 10.0, 24.0
MOST_POINTS = 240
TABLE_ROWS = 24
Point = tuple[float, float]


class Series(Record):
    """One line of a chart: a name, a colour of the style sheet by number, and points in order of x."""

    name: str
    colour: int = Field(ge=1, le=6)
    points: tuple[Point, ...]


class Limit(Record):
    """A level that means something, such as the e-value at which a canary is taken back."""

    name: str
    value: float
    tone: Literal["", "good", "bad"] = ""


class Tick(Record):
    """A mark on an axis: its place in the picture and what it says."""

    at: float
    text: str


class DrawnLimit(Record):
    """A level with its place in the picture."""

    name: str
    at: float
    tone: str


class Drawn(Record):
    """A chart ready to be put into a page."""

    title: str
    says: str = Field(description="What it shows, for those who do not see it")
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM
    lines: tuple[tuple[int, str, str], ...] = Field(description="Colour, name and path of each series")
    dots: tuple[tuple[int, float, float], ...] = Field(description="Colour and place of each series' last point")
    limits: tuple[DrawnLimit, ...] = ()
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    unit: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def drawn(
    title: str,
    series: Sequence[Series],
    *,
    says: str,
    across: str,
    unit: str = "",
    limits: Sequence[Limit] = (),
    logarithmic: bool = False,
    low: float | None = None,
    high: float | None = None,
    floor: float | None = None,
    moments: bool = False,
) -> Drawn | None:
    """Lay out a chart; None where no series has a point.

    `across` names the quantity of the x axis, which with `moments` are seconds since 1970. `low` and `high` widen the
    y axis to at least that range; values below `floor` stand on its lower edge, as those of 0 and less do on a
    logarithmic axis.
    """
    thin = [each.model_copy(update={"points": _thinned(each.points)}) for each in series if each.points]
    if not thin:
        return None
    xs = [x for each in thin for x, _ in each.points]
    ys = [y for each in thin for _, y in each.points]
    bounds = [value for value in (low, high, *(each.value for each in limits)) if value is not None]
    if logarithmic:
        least = min([y for y in (*ys, *bounds) if y > 0], default=0.1)
        bottom, top = math.floor(math.log10(least)), math.ceil(math.log10(max(*ys, *bounds, 10 * least)))
        marks = [(10.0**power, _power(power)) for power in range(bottom, top + 1, max(1, (top - bottom) // 5))]
    else:
        bottom, top = min([*ys, *bounds]), max([*ys, *bounds])
        bottom = bottom if floor is None else max(bottom, floor)
        top = top if top > bottom else bottom + 1
        step = _step((top - bottom) / 4)
        bottom, top = math.floor(bottom / step) * step, math.ceil(top / step - 1e-9) * step
        marks = [(bottom + at * step, number(bottom + at * step)) for at in range(round((top - bottom) / step) + 1)]

    first, last = min(xs), max(xs)
    name = _moment(last - first) if moments else number

    def place(x: float) -> float:
        share = (x - first) / (last - first) if last > first else 0.5
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def height(y: float) -> float:
        value = (math.log10(y) if y > 0 else bottom) if logarithmic else y
        share = min(max((value - bottom) / (top - bottom), 0.0), 1.0)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)

    return Drawn(
        title=title,
        says=says,
        lines=tuple((each.colour, each.name, _path([(place(x), height(y)) for x, y in each.points])) for each in thin),
        dots=tuple((each.colour, place(each.points[-1][0]), height(each.points[-1][1])) for each in thin),
        limits=tuple(DrawnLimit(name=each.name, at=height(each.value), tone=each.tone) for each in limits),
        across=tuple(Tick(at=place(x), text=name(x)) for x in _ticks(first, last)),
        up=tuple(Tick(at=height(y), text=text) for y, text in marks),
        unit=unit,
        columns=(across, *(each.name for each in thin)),
        rows=_rows(thin, name),
    )


def _path(points: Sequence[Point]) -> str:
    if len(points) == 1:  # a line of no length has round ends, and so is a dot
        points = [points[0], points[0]]
    return "M" + " L".join(f"{x:g} {y:g}" for x, y in points)


def _thinned(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return at most `MOST_POINTS` points; of each stretch the highest and the lowest stay, so that no peak is lost."""
    if len(points) <= MOST_POINTS:
        return tuple(points)
    edges = [round(at * len(points) / (MOST_POINTS // 2)) for at in range(MOST_POINTS // 2 + 1)]
    kept: list[Point] = []
    for start, end in pairwise(edges):
        part = points[start:end]
        kept += sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
    return (*kept[:-1], points[-1])


def _rows(series: Sequence[Series], name: Callable[[float], str]) -> tuple[tuple[str, ...], ...]:
    """Return the figures as a table, evenly thinned, the last row always there."""
    xs = sorted({x for each in series for x, _ in each.points})
    step = max(1, -(-len(xs) // TABLE_ROWS))
    chosen = xs[:-1:step] + xs[-1:]
    found = [dict(each.points) for each in series]
    return tuple((name(x), *(number(values[x]) if x in values else "–" for values in found)) for x in chosen)


def _ticks(first: float, last: float) -> list[float]:
    return [first + at * (last - first) / 4 for at in range(5)] if last > first else [first]


def _moment(span: float) -> Callable[[float], str]:
    """Return what names a time (seconds since 1970) on an axis of that many seconds."""
    form = "%H:%M:%S" if span < 600 else "%H:%M" if span < 129_600 else "%d %b"
    return lambda seconds: datetime.fromtimestamp(seconds, UTC).strftime(form)


def _step(rough: float) -> float:
    """Return the round number (1, 2 or 5 times a power of ten) next above a rough step."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def number(value: float) -> str:
    """Return a number with three digits, or all of those before its point."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value or 0:.3g}"  # a zero has no sign


def _power(power: int) -> str:
    return f"{10.0**power:g}" if -3 <= power <= 4 else f"1e{power}"
