"""`mlops train`: what was collected becomes a batch and goes through its chain here, or the reason why not."""

from typing import Annotated

import typer
from rich.console import Console

from mlops_assets.cli import batches
from mlops_assets.cli.context import LineName, actor, line, platform
from mlops_assets.cli.output import Exit, Json, answer
from mlops_assets.cli.why import describe
from mlops_assets.lifecycle.collection.triggering import trigger
from mlops_assets.lifecycle.launching import claim


def train(
    name: LineName,
    force: Annotated[bool, typer.Option("--force", help="Whatever counts, rates and interval say.")] = False,
    json: Json = False,
) -> None:
    """Make a batch of what was collected and take it through its chain here; exit 3 with the reasons if not."""
    chosen = line(name)
    done = trigger(platform(), chosen, platform().clock(), actor=actor(), force=force)
    if done.batch is None:

        def human(out: Console) -> None:
            describe(out, done.why)

        answer(done.why.model_dump(mode="json"), human)
        raise typer.Exit(Exit.NOT_DEPLOYED)
    claim(platform(), chosen, done.batch.batch_id, "intake", actor=actor())
    batches.run(name, done.batch.batch_id, until=None, json=json)
