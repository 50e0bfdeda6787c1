"""`mlops demo`: the whole loop on sample data, really computed, resumed where it was stopped.

Four batches go through the line one after the other: one that helps, one whose transcripts are wrong, one full of
broken files, and one too small to tell, which waits for a person. A home that has run the demo shows its results.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ConfigDict
from rich.console import Console

from mlops_assets import wiring
from mlops_assets.cli import progress
from mlops_assets.cli.batches import ENDED, metric_rows
from mlops_assets.cli.context import line, platform
from mlops_assets.cli.output import Exit, Json, answer, console, table
from mlops_assets.core.errors import NotFound, PlatformError
from mlops_assets.core.line import Line
from mlops_assets.core.records import Decision, ReviewAnswer
from mlops_assets.lifecycle import decide, ingest, status

REVIEWER = "demo-reviewer"


class Sample(BaseModel):
    """One batch of the demo: its file under data/samples/<line>, what it shows, and how a review is answered."""

    model_config = ConfigDict(frozen=True)

    file: str
    shows: str
    approve: bool | None = None
    reason: str = ""


SAMPLES = (
    Sample(file="good.zip", shows="recordings with correct transcripts"),
    Sample(file="wrong-transcripts.zip", shows="recordings whose transcripts are swapped"),
    Sample(file="broken.zip", shows="silent, truncated and mislabelled files"),
    Sample(
        file="small.zip",
        shows="too few recordings to tell",
        approve=False,
        reason="Eight recordings are too few to release a model on; the user is asked for more.",
    ),
)


def demo(
    names: Annotated[list[str] | None, typer.Argument(metavar="[LINE ...]")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move the home aside and begin anew.")] = False,
    json: Json = False,
) -> None:
    """Run the whole loop on sample data: what was decided, and where to look."""
    settings = wiring.settings()
    if fresh and settings.home.exists():
        aside = settings.home.with_name(f"{settings.home.name}.{datetime.now(UTC):%Y%m%d-%H%M%S}")
        settings.home.rename(aside)
        console.print(f"The old home is now {aside}.", markup=False)
    with_samples = sorted(path.name for path in (settings.root / "data" / "samples").iterdir() if path.is_dir())
    chosen = [line(name) for name in names or with_samples]
    documents = [
        _run(each, settings.root / "data" / "samples" / each.line, sample) for each in chosen for sample in SAMPLES
    ]
    answer(
        [{key: value for key, value in each.items() if key != "shows"} for each in documents],
        lambda out: _summary(out, documents),
    )
    if any(each["deployment_status"] is None for each in documents):
        raise typer.Exit(Exit.FAILED)


def _run(chosen: Line, folder: Path, sample: Sample) -> dict[str, Any]:
    from mlops_assets.components.running import continue_batch, run_batch

    path = folder / sample.file
    if not path.exists():
        raise NotFound(f"The sample {path} is missing.", "Restore it with `git checkout data/samples`.")
    record, _ = ingest.ingest(platform(), chosen, path, contributor="demo-user", source="demo")
    console.print(f"[bold]{chosen.line}[/] {record.batch_id}  {sample.file}: {sample.shows}", highlight=False)
    before = status.show(platform(), chosen, record.batch_id)
    if before["status"] in ENDED and before["status"] != "PENDING_REVIEW":
        console.print("  this home has run it before; `mlops demo --fresh` begins anew", style="dim")
        return {**before, "shows": f"{sample.file}: {sample.shows}"}
    with progress.bar(platform(), [(chosen, record.batch_id)]):
        outcome = run_batch(platform(), chosen, record.batch_id)
        decision = platform().records.get(chosen.line, record.batch_id, "decision")
        if isinstance(decision, Decision) and decision.pending and sample.approve is not None:
            console.print("  waits for a person; the demo answers as one", style="yellow")
            decide.answer(platform(), decision.decision_id, _answer(sample, sample.approve))
            outcome = continue_batch(platform(), chosen, record.batch_id)
    document = status.show(platform(), chosen, record.batch_id)
    if outcome.error and document["deployment_status"] is None:
        raise PlatformError(f"The run of {record.batch_id} failed: {outcome.error}", "`mlops doctor` may say why.")
    console.print(f"  {_end(document)}", markup=False)
    return {**document, "shows": f"{sample.file}: {sample.shows}"}


def _answer(sample: Sample, approve: bool) -> ReviewAnswer:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return ReviewAnswer(approve=approve, reviewer=REVIEWER, reason=sample.reason, answered_at=now)


def _end(document: dict[str, Any]) -> str:
    verdict = document["verdict"] or "quarantined for its data"
    version = f", now v{document['version']}" if document["version"] else ""
    return f"{verdict}: {document['deployment_status']}{version}"


def _summary(out: Console, documents: list[dict[str, Any]]) -> None:
    rows = []
    for each in documents:
        dropped = sum(each["items"]["dropped"].values()) if each["items"] else 0
        kept = each["items"]["kept"] if each["items"] else 0
        first = each["reasons"][0] if each["reasons"] else ""
        rows.append((each["line"], each["batch_id"], each["shows"], f"{kept}/{kept + dropped}", _end(each), first))
    out.print(table("What was decided", ("line", "batch", "sample", "kept", "end", "first reason"), rows))
    for each in documents:
        if each["metrics"] and each["version"]:
            out.print(
                table(f"{each['line']} v{each['version']} (batch {each['batch_id']})", *metric_rows(each["metrics"]))
            )
    for name in dict.fromkeys(each["line"] for each in documents):
        roles = platform().versions.pointer(name).roles
        out.print(f"{name} serves v{roles.get('production')}; before: v{roles.get('previous')}", markup=False)
    out.print("Where to look: `make up` (asset graph, runs, MLflow), `mlops decisions list`, `mlops quarantine list`,")
    out.print("`mlops versions speech`, `mlops rollback speech --reason TEXT`. Synthetic figures are marked as such.")
