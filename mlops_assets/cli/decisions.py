"""`mlops decisions`: the verdicts, with what they rest on."""

from typing import Annotated

import typer
from rich.console import Console

from mlops_assets.cli.context import line, platform
from mlops_assets.cli.output import Json, answer, table
from mlops_assets.core.errors import NotFound
from mlops_assets.core.records import Decision

app = typer.Typer(no_args_is_help=True, help="Verdicts and what they rest on.")


@app.command("list")
def list_(name: Annotated[str | None, typer.Argument(metavar="[LINE]")] = None, json: Json = False) -> None:
    """List the latest decision on every batch, of one line or of all."""
    found = _decisions(name)
    rows = [
        (each.line, each.batch_id, each.decision_id[:12], _verdict(each), each.reasons[0] if each.reasons else "")
        for each in found
    ]
    answer(
        [each.model_dump(mode="json", exclude={"evidence"}) for each in found],
        lambda out: out.print(table("Decisions", ("line", "batch", "decision", "verdict", "first reason"), rows)),
    )


@app.command("show")
def show(
    decision: Annotated[str, typer.Argument(help="Decision id, or the start of one.")], json: Json = False
) -> None:
    """Show one decision: verdict, reasons, gates, statistics, and the agent's path."""
    matches = [each for each in _decisions(None) if each.decision_id.startswith(decision)]
    if len(matches) != 1:
        raise NotFound(f"'{decision}' names {len(matches)} decisions.", "`mlops decisions list` shows them.")
    found = matches[0]
    checks = [
        ("ok" if check.passed else "FAILED", check.name, check.observed, check.limit, check.explanation)
        for check in (*found.gates, *found.statistics)
    ]

    def human(out: Console) -> None:
        out.print(f"{_verdict(found)}  {found.line} {found.batch_id}", style="bold", markup=False)
        for reason in found.reasons:
            out.print(f"- {reason}", markup=False)
        out.print(table("Gates and statistics", ("", "name", "observed", "limit", "meaning"), checks))
        out.print(f"agent: {' > '.join(found.path)}\nevidence: {found.evidence_digest}", markup=False)

    answer(found.model_dump(mode="json"), human)


def _decisions(name: str | None) -> list[Decision]:
    chosen = [line(name)] if name else list(platform().lines())
    return [
        record
        for known in chosen
        for batch in platform().batches.list(known.line)
        if isinstance(record := platform().records.get(known.line, batch.batch_id, "decision"), Decision)
    ]


def _verdict(decision: Decision) -> str:
    return f"{decision.verdict} (waiting for a person)" if decision.pending else decision.verdict
