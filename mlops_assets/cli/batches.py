"""`mlops submit`, `run`, `batches`, `show` and `status`: a batch from a file to its end."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mlops_assets.cli import progress, rollouts
from mlops_assets.cli.context import BatchId, LineName, actor, batch_id, line, platform
from mlops_assets.cli.output import Exit, Json, answer, console, table
from mlops_assets.core.errors import NotFound, UsageError
from mlops_assets.core.line import Line
from mlops_assets.core.records.chain import ASSETS
from mlops_assets.lifecycle import status as lifecycle_status
from mlops_assets.lifecycle.decide.questions import questions
from mlops_assets.lifecycle.intake import ingest
from mlops_assets.lifecycle.launching import claim

CLASS = "_class_"
ENDED = (
    *("DEPLOYED", "CANARY", "PENDING_REVIEW", "PENDING_PUBLISH", "ROLLED_BACK"),
    *("REJECTED", "QUARANTINED", "RELEASED", "DISCARDED"),
)


def submit(
    name: LineName,
    path: Annotated[Path, typer.Argument(help="A file, folder or zip.")],
    contributor: Annotated[str | None, typer.Option(help="Whose data this is; default: you.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the batch to its end; it is run here if no daemon runs.")
    ] = False,
    json: Json = False,
) -> None:
    """Turn a file, folder or zip into a batch; the same bytes again give the batch they already are."""
    chosen = line(name)
    if not path.exists():
        raise NotFound(f"There is nothing at {path}.", "Name a file, a folder or a zip.")
    record, duplicate = ingest.ingest(platform(), chosen, path, contributor=contributor or actor(), source="cli")
    document: dict[str, Any] = {
        "batch_id": record.batch_id,
        "line": name,
        "duplicate_of": record.batch_id if duplicate else None,
    }
    if not wait:
        note = " (these bytes were already there)" if duplicate else ""
        todo = f"\nnext: mlops run {name} {record.batch_id}" if not duplicate else ""
        answer(document, lambda out: out.print(f"{record.batch_id}{note}{todo}", markup=False, highlight=False))
        return
    console.print(record.batch_id, markup=False)
    _follow(chosen, record.batch_id)
    end(chosen, record.batch_id, {"duplicate_of": document["duplicate_of"]})


def _follow(chosen: Line, known: str) -> None:
    """Wait while a daemon takes a batch through its chain; take it through here where there is none."""
    from mlops_assets.components.running import heartbeat, run_batch

    def ended() -> bool:
        return lifecycle_status.status(platform(), chosen, known) in ENDED

    with progress.bar(platform(), [(chosen, known)]) as bar:
        with heartbeat(platform()) as alive:
            bar.wait_for(lambda: ended() or not alive())
        if not ended():
            console.print("No daemon runs (`mlops up` has one), so the batch is run here.")
            claim(platform(), chosen, known, "intake", actor=actor())
            outcome = run_batch(platform(), chosen, known)
            tell(outcome.success, outcome.error)


def run(
    name: LineName,
    batch: BatchId,
    until: Annotated[str | None, typer.Option(metavar="ASSET", help="Stop after this asset.")] = None,
    json: Json = False,
) -> None:
    """Materialize a batch's chain here, without a daemon; what is already made is not made again."""
    from mlops_assets.components.running import run_batch

    chosen, known = line(name), batch_id(line(name).line, batch)
    if until is not None and until not in ASSETS:
        raise UsageError(f"'{until}' is no asset.", f"The assets are: {', '.join(ASSETS)}.")
    with progress.bar(platform(), [(chosen, known)]):
        outcome = run_batch(platform(), chosen, known, until=until)
    tell(outcome.success, outcome.error)
    if until is not None and outcome.success:
        answer(lifecycle_status.show(platform(), chosen, known), lambda out: out.print(f"{until} is made."))
        return
    end(chosen, known)


def tell(success: bool, error: str | None) -> None:
    """Say why a batch did not come to its end, which nothing that is recorded of it says."""
    if not success and error:
        console.print(f"error: {error}", style="red", markup=False)


def batches(name: LineName, json: Json = False) -> None:
    """List a line's batches in order of arrival."""
    chosen = line(name)
    rows = [lifecycle_status.show(platform(), chosen, each.batch_id) for each in platform().batches.list(name)]
    answer(rows, lambda out: out.print(table(f"Batches of {name}", *_batch_rows(rows))))


def show(name: LineName, batch: BatchId, json: Json = False) -> None:
    """Show all there is to know about one batch."""
    chosen = line(name)
    document = lifecycle_status.show(platform(), chosen, batch_id(name, batch))
    answer(document, lambda out: describe(out, document))


def status(
    name: Annotated[str | None, typer.Argument(metavar="[LINE]")] = None,
    days: Annotated[int, typer.Option(min=1, help="How far back to look.")] = 30,
    json: Json = False,
) -> None:
    """Show what serves, what waits, and how batches of the last days ended."""
    since = (platform().clock() - timedelta(days=days)).isoformat()
    chosen = [line(name)] if name else list(platform().lines())
    rows = []
    for known in chosen:
        recent = [batch for batch in platform().batches.list(known.line) if batch.received_at >= since]
        ends = [lifecycle_status.show(platform(), known, batch.batch_id)["status"] for batch in recent]
        roles = platform().versions.pointer(known.line).roles
        rows.append(
            {
                "line": known.line,
                "production": roles.get("production"),
                "previous": roles.get("previous"),
                "batches": {end: ends.count(end) for end in sorted(set(ends))},
                "waiting_for_a_person": len(questions(platform(), known.line)),
                "busy": platform().leases.holder(f"line:{known.line}"),
            }
        )
    columns = ("line", "production", "previous", "batches", "waiting_for_a_person", "busy")
    cells = [
        [", ".join(f"{n} {end}" for end, n in row[key].items()) if key == "batches" else row[key] for key in columns]
        for row in rows
    ]
    answer(rows, lambda out: out.print(table(f"The last {days} days", columns, cells)))


def describe(out: Console, document: dict[str, Any]) -> None:
    """Print one batch for people."""
    out.print(f"{document['line']} {document['batch_id']}: {document['status']}", style="bold", markup=False)
    items = document["items"] or {}
    if items:
        dropped = ", ".join(f"{count} {code}" for code, count in items["dropped"].items()) or "none"
        out.print(f"items: {items['kept']} kept, dropped: {dropped}; quality {document['quality_score']:.1f}/10")
    if document["metrics"]:
        out.print(table("", *metric_rows(document["metrics"])))
        columns, rows = class_rows(document["metrics"])
        if rows:
            out.print(table("By class, on the golden set (production > candidate)", columns, rows))
    for reason in document["reasons"]:
        out.print(f"- {reason}", markup=False)
    for key in ("verdict", "deployment_status", "version", "decision_id", "quarantine_path", "mlflow_run_id"):
        if document[key] is not None:
            out.print(f"{key}: {document[key]}", markup=False)


def metric_rows(metrics: dict[str, Any]) -> tuple[tuple[str, ...], list[list[object]]]:
    """Return the columns and rows of a metrics table, classes left out; figures from synthetic data say so."""
    columns = ("metric", "baseline", "classical", "production", "candidate", "gain", "95 % bounds", "n", "data")
    rows: list[list[object]] = []
    for name, each in metrics.items():
        if CLASS in name:
            continue
        systems = [_figure(each[key]) for key in ("baseline", "classical", "production", "candidate")]
        bounds = "" if each["lower"] is None else f"{each['lower']:+.3f} .. {each['upper']:+.3f}"
        gain = None if each["delta"] is None else f"{each['delta']:+.3f}"
        rows.append([name, *systems, gain, bounds, each["n"], each["origin"]])
    return columns, rows


def class_rows(metrics: dict[str, Any]) -> tuple[tuple[str, ...], list[list[object]]]:
    """Return the columns and rows of a table of the golden set's classes; no rows where there are none."""
    found: dict[str, dict[str, str]] = {}
    for name, each in metrics.items():
        metric, is_class, label = name.partition(CLASS)
        if is_class and "/" not in metric:
            moved = f"{_figure(each['production'])} > {_figure(each['candidate'])}"
            found.setdefault(label, {})[metric] = moved
    columns = ("class", *dict.fromkeys(metric for row in found.values() for metric in row))
    return columns, [[label, *(row.get(metric, "-") for metric in columns[1:])] for label, row in found.items()]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _batch_rows(rows: list[dict[str, Any]]) -> tuple[tuple[str, ...], list[list[object]]]:
    columns = ("batch_id", "status", "contributor", "kept", "verdict", "deployment_status", "version")
    return columns, [
        [(row["items"] or {}).get("kept") if key == "kept" else row[key] for key in columns] for row in rows
    ]


def exit_code(document: dict[str, Any]) -> Exit:
    """Return how a batch's end is told to a shell."""
    if document["deployment_status"] == "SUCCESS":
        return Exit.DONE
    crashed = document["deployment_status"] in (None, "ERROR") and document["status"] not in ENDED
    return Exit.FAILED if crashed else Exit.NOT_DEPLOYED


def end(chosen: Line, known: str, extra: dict[str, Any] | None = None) -> None:
    """Print how a batch stands and what is next, and exit with what a shell is told of it."""
    document = {**lifecycle_status.show(platform(), chosen, known), **(extra or {})}
    answer(document, lambda out: describe(out, document))
    if document["status"] == "PENDING_REVIEW":
        console.print(f"next: mlops reviews approve|reject {document['decision_id'][:12]} --reason TEXT", markup=False)
    if (document["status"], document["verdict"]) == ("DECIDED", "APPROVE"):
        later = f"next: mlops run {chosen.line} {known}, once nothing hinders its release; the daemon of `mlops up`"
        console.print(f"{later} tries again by itself.", markup=False)
    if document["deployment_status"] == "CANARY":
        console.print(rollouts.under_way(platform().versions.pointer(chosen.line)), markup=False)
    raise typer.Exit(exit_code(document))
