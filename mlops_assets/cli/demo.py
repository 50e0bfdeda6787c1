"""`mlops demo`: the whole loop on sample data, really computed, resumed where it was stopped.

The batches of a line go through it one after the other; without a name, every line with samples has its turn, speech
first. A line whose base weights or packages are not there is skipped with a sentence. A home that has run the demo
shows its results. At the end the lines are served, and two canaries are judged.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mlops_assets.cli import live, progress, tour
from mlops_assets.cli.batches import metric_rows
from mlops_assets.cli.context import line, platform
from mlops_assets.cli.output import Exit, Json, answer, console, readers, table
from mlops_assets.cli.samples import Sample, read_samples, with_samples
from mlops_assets.core.errors import ConfigError, MissingExtra
from mlops_assets.core.line import Line
from mlops_assets.core.records.data import ValidatedData
from mlops_assets.core.records.decision import Decision, ReviewAnswer
from mlops_assets.lifecycle import decide, status
from mlops_assets.lifecycle.intake import ingest
from mlops_assets.wiring.settings import read_settings

FIRST = "speech"
REVIEWER = "demo-reviewer"
OVER = ("DEPLOYED", "CANARY", "PENDING_PUBLISH", "QUARANTINED", "RELEASED", "DISCARDED", "ROLLED_BACK")
LACKS = (ConfigError.__name__, MissingExtra.__name__)  # what a person installs or sets, before the line can run


@dataclass
class Visit:
    """What became of one line: its batches' ends, the seconds they took now, and why it was left early, if it was."""

    line: Line
    documents: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    lacks: str | None = None
    failed: str | None = None


def demo(
    names: Annotated[list[str] | None, typer.Argument(metavar="[LINE ...]")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move the home aside and begin anew.")] = False,
    json: Json = False,
) -> None:
    """Run the whole loop on sample data, for all lines or those named: what was decided, and where to look."""
    settings = read_settings()
    if fresh and settings.home.exists():
        aside = settings.home.with_name(f"{settings.home.name}.{datetime.now(UTC):%Y%m%d-%H%M%S}")
        settings.home.rename(aside)
        console.print(f"The old home is now {aside}.", markup=False)
    folder = settings.root / "data" / "samples"
    chosen = [(each, read_samples(folder / each.line)) for each in _lines(names, folder)]
    visits = [_visit(each, samples, folder / each.line) for each, samples in chosen]
    answer([each for visit in visits for each in visit.documents], lambda out: _summary(out, visits))
    if any(visit.seconds for visit in visits):
        live.live(readers(), [visit.line for visit in visits])
    if any(visit.failed for visit in visits) or not any(visit.documents for visit in visits):
        raise typer.Exit(Exit.FAILED)


def _lines(names: Sequence[str] | None, folder: Path) -> list[Line]:
    if names:
        return [line(name) for name in dict.fromkeys(names)]
    declared = {each.line for each in platform().lines()}
    ready = [name for name in with_samples(folder) if name in declared]
    return [line(name) for name in sorted(ready, key=lambda name: (name != FIRST, name))]


def _visit(chosen: Line, samples: Sequence[Sample], folder: Path) -> Visit:
    """Take a line's samples through it, until one cannot be."""
    visit = Visit(chosen)
    for sample in samples:
        _run(visit, sample, folder / sample.file)
        if visit.lacks or visit.failed:
            break
    return visit


def _run(visit: Visit, sample: Sample, path: Path) -> None:
    from mlops_assets.components.running import continue_batch, run_batch

    chosen = visit.line
    record, _ = ingest.ingest(platform(), chosen, path, contributor="demo-user", source="demo")
    console.print(f"[bold]{chosen.line}[/] {record.batch_id}  {sample.file}: {sample.shows}", highlight=False)
    before = status.show(platform(), chosen, record.batch_id)
    if before["status"] in OVER:
        console.print("  this home has run it before; `mlops demo --fresh` begins anew", style="dim")
        visit.documents.append(before)
        return
    began = time.perf_counter()
    with progress.bar(platform(), [(chosen, record.batch_id)]):
        outcome = run_batch(platform(), chosen, record.batch_id)
        decision = platform().records.get(chosen.line, record.batch_id, "decision")
        if isinstance(decision, Decision) and decision.pending and sample.approve is not None:
            console.print("  waits for a person; the demo answers as one", style="yellow")
            decide.answer(platform(), decision.decision_id, _answer(sample, sample.approve))
            outcome = continue_batch(platform(), chosen, record.batch_id)
    visit.seconds += time.perf_counter() - began
    if outcome.kind in LACKS:
        visit.lacks = outcome.error
        console.print(f"  {chosen.line} is skipped: {outcome.error}", style="yellow", markup=False)
        return
    document = status.show(platform(), chosen, record.batch_id)
    visit.documents.append(document)
    if _crashed(chosen, document):
        visit.failed = outcome.error or document["status"]
        console.print(f"  failed: {visit.failed} (`mlops doctor` may say why)", style="red", markup=False)
    else:
        console.print(f"  {tour.end(document)}", markup=False)


def _crashed(chosen: Line, document: dict[str, Any]) -> bool:
    """Say whether a batch ended otherwise than by a verdict or by what is wrong with its data."""
    data = platform().records.get(chosen.line, document["batch_id"], "validated_data")
    return document["verdict"] is None and not (isinstance(data, ValidatedData) and not data.accepted)


def _answer(sample: Sample, approve: bool) -> ReviewAnswer:
    now = platform().clock().isoformat(timespec="seconds")
    return ReviewAnswer(approve=approve, reviewer=REVIEWER, reason=sample.reason, answered_at=now)


def _summary(out: Console, visits: Sequence[Visit]) -> None:
    if len(visits) == 1:
        _details(out, visits[0])
    columns = (
        "line",
        "verdicts",
        "metric",
        "before",
        "after",
        "95 % bounds of the gain",
        "data",
        *tour.BESIDE,
        "seconds",
    )
    rows = [
        (
            visit.line.line,
            *tour.cells(platform(), visit.line, visit.documents),
            f"{visit.seconds:.0f}" if visit.seconds else "earlier",
        )
        for visit in visits
    ]
    out.print(table("The tour (↑ higher is better, ↓ lower is better)", columns, rows))
    for visit in visits:
        if visit.lacks or visit.failed:
            word = "skipped" if visit.lacks else "failed"
            out.print(f"{visit.line.line} {word}: {visit.lacks or visit.failed}", markup=False)
    name = visits[0].line.line if visits else "LINE"
    out.print("Where to look: `make up` (asset graph, runs, MLflow), `mlops decisions list`, `mlops quarantine list`,")
    out.print(f"`mlops versions {name}`, `mlops rollback {name} --reason TEXT`. Synthetic figures are marked as such.")


def _details(out: Console, visit: Visit) -> None:
    columns = ("line", "batch", "kept", "end", "first reason")
    out.print(table("What was decided", columns, [tour.batch_cells(each) for each in visit.documents]))
    for each in visit.documents:
        if each["metrics"] and each["version"]:
            title = f"{each['line']} v{each['version']} (batch {each['batch_id']})"
            out.print(table(title, *metric_rows(each["metrics"])))
    roles = platform().versions.pointer(visit.line.line).roles
    out.print(f"{visit.line.line} serves v{roles.get('production')}; before: v{roles.get('previous')}", markup=False)
