"""What the pages draw, and in which colours: charts within their frames, figures as people write them, contrast."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.lifecycle import pages as reports
from mlops_assets.serving import pages
from mlops_assets.serving.pages.charts import Drawn, Limit, Series, drawn
from mlops_assets.serving.pages.rendering import evalue

points = st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e6, 1e9)), min_size=1, max_size=600)


@given(points, st.booleans(), st.floats(1e-6, 1e6))
def test_a_chart_stays_in_its_frame_and_keeps_its_last_point_and_its_peak(
    made: list[tuple[float, float]], logarithmic: bool, limit: float
) -> None:
    made = sorted(made)
    chart = drawn("t", [Series(name="a", colour=1, points=tuple(made))], says="s", across="x",
                  limits=[Limit(name="l", value=limit)], logarithmic=logarithmic)  # fmt: skip
    assert isinstance(chart, Drawn)
    places = [tuple(map(float, each.split())) for each in chart.lines[0][2].removeprefix("M").split(" L")]
    assert all(chart.left <= x <= chart.right and chart.top <= y <= chart.bottom for x, y in places)
    assert places[-1] == chart.dots[0][1:]
    assert min(y for _, y in places) >= chart.top
    assert all(chart.top - 0.1 <= each.at <= chart.bottom + 0.1 for each in (*chart.up, *chart.limits))
    assert chart.rows
    peak = max(y for _, y in made)
    highest = Series(name="b", colour=2, points=((made[0][0], peak),))
    both = drawn("t", [Series(name="a", colour=1, points=tuple(made)), highest], says="s", across="x",
                 limits=[Limit(name="l", value=limit)], logarithmic=logarithmic)  # fmt: skip
    assert both is not None
    assert min(y for _, y in places) == pytest.approx(both.dots[1][2], abs=0.11)


def test_figures_are_said_as_people_write_them() -> None:
    series = [Series(name="a", colour=1, points=((0, -0.0), (1, 0.183), (2, 999.7), (3, 12_345)))]
    chart = drawn("t", series, says="s", across="x")
    assert chart is not None
    assert [row[1] for row in chart.rows] == ["0", "0.183", "1,000", "12,345"]
    assert [evalue(log10) for log10 in (0, 0.5, 3.3, 7)] == ["1", "3.16", "1,995", "1e+7"]


def test_nothing_is_drawn_of_nothing() -> None:
    assert drawn("t", [Series(name="a", colour=1, points=())], says="s", across="x") is None


TOKEN = re.compile(r"--([\w-]+): (#[0-9a-f]{3,6})")
TEXTS = [
    *((ink, on) for ink in ("ink", "soft", "accent", "good", "bad", "warn") for on in ("page", "card", "note")),
    ("synthetic", "tint"), ("on-accent", "accent"), ("on-danger", "danger"), ("danger", "card"),
]  # fmt: skip
MARKS = [("field", "card"), ("field", "page"), *((f"c{at}", "card") for at in range(1, 7))]


def tokens(dark: bool) -> dict[str, str]:
    css = (Path(reports.__file__).parent / "page.css").read_text() + (
        Path(pages.__file__).parent / "style.css"
    ).read_text()
    found: dict[str, str] = {}
    for block in re.findall(r"(@media \(prefers-color-scheme: dark\) \{ )?:root \{(.*?)\}", css, re.DOTALL):
        if dark or not block[0]:
            found |= dict(TOKEN.findall(block[1]))
    return found


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.2 of '#rgb' or '#rrggbb'."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * each for each in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_the_tokens_have_the_contrast_of_wcag_aa(dark: bool) -> None:
    colours = tokens(dark)
    poor = [
        (ink, on, round(contrast(colours[ink], colours[on]), 2))
        for pairs, least in ((TEXTS, 4.5), (MARKS, 3.0))
        for ink, on in pairs
        if contrast(colours[ink], colours[on]) < least
    ]
    assert poor == []
