"""`mlops compare`: a line beside a language model, or beside another version."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from mlops_assets.cli.context import LineName, line, platform
from mlops_assets.cli.output import Json, answer, console, table
from mlops_assets.core.contrast import Contrast, Latency, MetricContrast
from mlops_assets.lifecycle.challenge.contrasting import contrast, contrast_page
from mlops_assets.lifecycle.pages import write_page


def compare(
    name: LineName,
    days: Annotated[int, typer.Option(min=1, help="Days of live requests to look back on.")] = 30,
    golden: Annotated[
        int, typer.Option(min=0, help="Items of the golden set to put to both; a language model is paid for each once.")
    ] = 0,
    json: Json = False,
) -> None:
    """Compare a line with the challenger that its YAML names: accuracy, latency, cost, disagreement, break-even."""
    now = platform().clock()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("asking the challenger", total=golden or None, visible=golden > 0)
        found = contrast(
            platform(),
            line(name),
            since=now - timedelta(days=days),
            until=now,
            golden_items=golden,
            told=lambda done, total: progress.update(task, completed=done, total=total),
        )
    page = write_page(platform().home / "reports" / name / "compare.html", contrast_page(found).encode())
    document = found.model_dump(mode="json") | {"page": str(page)}
    answer(document, lambda out: _print(out, found, page))


def _print(out: Console, found: Contrast, page: Path) -> None:
    if found.golden is not None:
        rows = [
            (each.metric, _figure(each.line), _figure(each.challenger), _signed(each.gain), _bounds(each))
            for each in found.golden.metrics
        ]
        title = f"{found.golden.answered} golden items ({found.golden.origin})"
        out.print(table(title, ("metric", found.line, found.challenger, "better by", "bounds"), rows))
    live = found.live
    if live.disagreement is not None:
        out.print(
            table(
                f"{live.pairs} requests answered by both, {live.failures} copies not answered",
                ("", "mean ms", "p95 ms", "p99 ms"),
                [_latency(found.line, live.latency_line), _latency(found.challenger, live.latency_challenger)],
            )
        )
        out.print(
            f"They disagree on {live.disagreement:.1%} "
            f"(95 %: {live.disagreement_lower:.1%} to {live.disagreement_upper:.1%})."
        )
        if live.corrected:
            out.print(
                f"Of {live.corrected} corrected ones {found.line} had {live.line_right} right, "
                f"{found.challenger} {live.challenger_right}.",
                markup=False,
            )
    else:
        out.print("No live request was answered by both; `mlops serve` makes copies while the YAML names a challenger.")
    if found.break_even is not None:
        cost = found.break_even
        months = "never" if cost.months is None else f"after {cost.months:.1f} months"
        out.print(
            f"${cost.monthly_challenger:.2f} a month for {found.challenger}, ${cost.monthly_line:.2f} for serving "
            f"{found.line}; it has paid for itself {months}.",
            markup=False,
        )
    out.print(str(page), markup=False, soft_wrap=True)


def _latency(name: str, one: Latency | None) -> tuple[str, ...]:
    return (name, *(f"{each:.3g}" for each in (one.avg, one.p95, one.p99))) if one else (name, "-", "-", "-")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _bounds(each: MetricContrast) -> str:
    return f"{_signed(each.lower)} .. {_signed(each.upper)}"
