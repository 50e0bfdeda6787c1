"""The report page of a line: made from stored records and scores, for any family; nothing is trained or scored."""

from pathlib import Path

from mlops_assets.core.errors import NotFound
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.lifecycle import plots
from mlops_assets.lifecycle.history import chains
from mlops_assets.lifecycle.line_report import drawing
from mlops_assets.lifecycle.line_report.content import LineReport
from mlops_assets.lifecycle.line_report.contest import contest
from mlops_assets.lifecycle.line_report.exploration import exploration
from mlops_assets.lifecycle.line_report.mistakes import mistakes
from mlops_assets.lifecycle.pages import render, write_page


def line_report(platform: Platform, line: Line) -> LineReport:
    """Collect all that a line's page says; ConfigError if an evaluation set of the line cannot be used."""
    history = chains(platform, line)
    return LineReport(
        line=line.line,
        family=line.family,
        description=line.description,
        primary=line.policy.primary.metric,
        production=platform.versions.pointer(line.line).roles.get("production"),
        exploration=exploration(platform, line, history),
        contest=contest(platform, line, history),
        mistakes=mistakes(platform, line, history),
    )


def line_page(report: LineReport) -> str:
    """Return the report as one self-contained HTML page."""
    data, models = report.exploration, report.contest
    scored = [each for each in data.batches if each.quality_score is not None]
    drawn = {
        "quality": drawing.quality(scored, data.min_quality) if scored else None,
        "distributions": drawing.distributions(data.distributions) if data.distributions else None,
        "trend": drawing.trend(models.measured) if models.measured else None,
        "curves": drawing.curves(models.curves) if models.curves else None,
    }
    says = {
        "quality": "Quality score of every batch",
        "distributions": "Distributions of quantities of the items, golden set and batches",
        "trend": "Metrics of every candidate on the golden set over time",
        "curves": "Loss of each candidate per step",
    }
    return render(
        "line_report/line.html.j2",
        report=report,
        data=data,
        models=models,
        errors=report.mistakes,
        plots={name: figure and plots.svg(figure, says[name]) for name, figure in drawn.items()},
    )


def write_line_page(platform: Platform, line: Line, folder: Path) -> Path:
    """Write `<folder>/<line>.html`, and the evaluation pages it links to beside it; return the page's path."""
    report = line_report(platform, line)
    for batch in report.exploration.batches:
        target = batch_page_path(line, batch.batch_id, folder)
        if batch.page is not None:
            write_page(target, platform.store.read_bytes(batch.page))
    return write_page(folder / f"{line.line}.html", line_page(report).encode())


def write_batch_page(platform: Platform, line: Line, batch_id: str, folder: Path) -> Path:
    """Write the evaluation page of a batch as it was recorded; NotFound if it was not evaluated."""
    report = platform.records.get(line.line, batch_id, "eval_report")
    if not isinstance(report, EvalReport) or report.page is None:
        raise NotFound(
            f"Batch {batch_id} of {line.line} was not evaluated.", f"`mlops show {line.line} {batch_id}` says why."
        )
    return write_page(batch_page_path(line, batch_id, folder), platform.store.read_bytes(report.page))


def batch_page_path(line: Line, batch_id: str, folder: Path) -> Path:
    """Return where a batch's page lies, as the line's page links to it."""
    return folder / line.line / f"{batch_id}.html"
