"""`mlops events`: what people and products reported of a line, and a file of it taken in."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mlops_assets.cli.context import LineName, actor, line, platform
from mlops_assets.cli.output import Exit, Json, answer, console, table
from mlops_assets.core.clock import utc
from mlops_assets.core.errors import UsageError
from mlops_assets.core.events import Kind
from mlops_assets.lifecycle.collection.collecting import collect_file

PROBLEMS = {"conflict", "invalid"}
app = typer.Typer(no_args_is_help=True, help="Usage, feedback, corrections and predictions.")
OfKind = Annotated[Kind | None, typer.Option("--kind", help="One kind of event alone.")]


@app.command("add")
def add(
    name: LineName,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON lines, an event each.", exists=True, dir_okay=False)
    ],
    kind: Annotated[Kind | None, typer.Option("--kind", help="What a line is that does not say its kind.")] = None,
    json: Json = False,
) -> None:
    """Store the events of a file; every line is answered, and the good ones are kept. Exit 1 if any was not.

    Adding a file again adds what is new. A line that is answered 'stored' is on disk.
    """
    chosen = line(name)
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        if console.is_terminal:
            console.print(f"{done} lines", end="\r")

    answers = list(collect_file(platform(), chosen, file, kind=kind, sent_by=actor(), report=progress))
    counts = Counter(each.status for _, each in answers)
    document = {
        "line": chosen.line,
        "counts": dict(counts),
        "answers": [{"where": where} | each.model_dump(mode="json") for where, each in answers],
    }

    def human(out: Console) -> None:
        for where, each in answers:
            if each.status != "stored":
                out.print(f"{where}: {each.status}{each.problem and f', {each.problem}'}", markup=False)
        said = ", ".join(f"{count} {status}" for status, count in counts.items())
        out.print(f"{file.name}: {said or 'no events'}.", markup=False)

    answer(document, human)
    raise typer.Exit(Exit.FAILED if PROBLEMS & {*counts} else Exit.DONE)


@app.command("list")
def list_(
    name: LineName,
    kind: OfKind = None,
    after: Annotated[int, typer.Option(help="Only events after this sequence.", min=0)] = 0,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Received at or after, such as 2026-11-21T08:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Received before.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 100,
    json: Json = False,
) -> None:
    """List events in order; the last one's sequence is the next call's --after."""
    chosen = line(name).line
    found = platform().events.read(
        chosen, kind=kind, after=after, since=_time("--since", since), until=_time("--until", until), limit=limit
    )
    rows = [
        (
            each.sequence,
            each.received_at,
            each.event.kind,
            each.event.user,
            each.event.event_id,
            each.event.model_dump_json(exclude_none=True, exclude={"kind", "user", "event_id"}),
        )
        for each in found
    ]
    answer(
        [each.model_dump(mode="json", exclude_none=True) for each in found],
        lambda out: out.print(table("Events", ("sequence", "received", "kind", "user", "id", "event"), rows)),
    )


@app.command("count")
def count(
    name: LineName,
    after: Annotated[int, typer.Option(help="Only events after this sequence.", min=0)] = 0,
    json: Json = False,
) -> None:
    """Count events by kind."""
    chosen = line(name).line
    counts = platform().events.count(chosen, after=after)
    document = {"line": chosen, "after": after, "last": platform().events.last(chosen), "counts": counts}
    answer(document, lambda out: out.print(table("Events", ("kind", "events"), sorted(counts.items()))))


def _time(option: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(utc(text))
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}.", "Write it such as 2026-11-21T08:00:00Z.") from None
