"""`mlops quarantine`: what was set aside, and the two ways out."""

from typing import Annotated

import typer

from mlops_assets.cli.context import BatchId, LineName, Reason, actor, batch_id, line, platform
from mlops_assets.cli.output import Json, answer, table
from mlops_assets.core.errors import NotFound
from mlops_assets.core.records.outcome import Quarantined
from mlops_assets.lifecycle import quarantine

app = typer.Typer(no_args_is_help=True, help="Batches and candidates set aside for a person.")


@app.command("list")
def list_(name: Annotated[str | None, typer.Argument(metavar="[LINE]")] = None, json: Json = False) -> None:
    """List what is in quarantine, of one line or of all."""
    chosen = [line(name)] if name else list(platform().lines())
    found = [
        record
        for known in chosen
        for batch in platform().batches.list(known.line)
        if isinstance(record := platform().records.get(known.line, batch.batch_id, "quarantine"), Quarantined)
    ]
    rows = [(record.line, record.batch_id, record.status, record.reason_code, record.reason) for record in found]
    answer(
        [record.model_dump(mode="json") for record in found],
        lambda out: out.print(table("Quarantine", ("line", "batch", "status", "code", "reason"), rows)),
    )


@app.command("show")
def show(name: LineName, batch: BatchId, json: Json = False) -> None:
    """Show one quarantined batch: the reason, and the folder with everything in it."""
    chosen = batch_id(line(name).line, batch)
    record = platform().records.get(name, chosen, "quarantine")
    if not isinstance(record, Quarantined):
        raise NotFound(f"Batch {chosen} of {name} is not in quarantine.", f"See `mlops show {name} {chosen}`.")
    folder = platform().home / record.path
    document = {**record.model_dump(mode="json"), "folder": str(folder)}
    answer(document, lambda out: out.print(f"{record.reason_code}: {record.reason}\n{folder}", markup=False))


@app.command("release")
def release(name: LineName, batch: BatchId, reason: Reason, json: Json = False) -> None:
    """Admit a quarantined batch again, as a new batch that names the old one."""
    old = batch_id(line(name).line, batch)
    record = quarantine.readmit(platform(), line(name), old, actor=actor(), reason=reason)
    document = {"batch_id": record.batch_id, "released_from": old}
    answer(document, lambda out: out.print(f"{old} is admitted again as {record.batch_id}."))


@app.command("discard")
def discard(name: LineName, batch: BatchId, reason: Reason, json: Json = False) -> None:
    """Close a quarantined batch for good; its bundle is removed, its ledger entries stay."""
    old = batch_id(line(name).line, batch)
    quarantine.discard(platform(), line(name), old, actor=actor(), reason=reason)
    answer({"batch_id": old, "status": "discarded"}, lambda out: out.print(f"{old} is discarded."))
