"""`mlops decisions`: the verdicts, what they rest on, and whether they come out the same again."""

from typing import Annotated, Any

import typer
from rich.console import Console

from mlops_assets.cli.context import line, platform
from mlops_assets.cli.output import Exit, Json, answer, table
from mlops_assets.core.errors import NotFound, UsageError
from mlops_assets.core.records.decision import Decision
from mlops_assets.lifecycle.decide.replaying import Replay, Replayer, find_decision, recorded_decisions

SHOWN = 20
app = typer.Typer(no_args_is_help=True, help="Verdicts, what they rest on, and whether they come out the same again.")


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
    found = find_decision(platform(), decision)
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


@app.command("replay")
def replay(
    decision: Annotated[str | None, typer.Argument(metavar="[DECISION]", help="Decision id, or its start.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every decision of this home.")] = False,
    name: Annotated[str | None, typer.Option("--line", metavar="LINE", help="Every decision of one line.")] = None,
    from_scores: Annotated[
        bool | None,
        typer.Option(
            "--from-scores/--stored-numbers",
            help="Make the numbers again, too, from the score of every item, with the policy's error, resamples and "
            "seed; the line has to be declared. Default: for a single decision.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Make decisions again from stored evidence, policy and answers, and say what differs; exit 1 if anything does.

    It reads the home alone: on a copy of it, on another machine, the same comes out. Numbers made again are equal
    within a billionth of them.
    """
    if [decision is not None, everything, name is not None].count(True) != 1:
        raise UsageError("Name one decision, or --line LINE, or --all.", "`mlops decisions list` shows them.")
    chosen = [find_decision(platform(), decision)] if decision is not None else recorded_decisions(platform(), name)
    if name is not None and not chosen:
        raise NotFound(f"There is no decision of a line '{name}' in this home.", "`mlops decisions list` shows them.")
    replayer = Replayer(platform())
    numbers = decision is not None if from_scores is None else from_scores
    replays = [replayer.replay(each, from_scores=numbers) for each in chosen]
    same = sum(each.identical for each in replays)
    document: dict[str, Any] = {
        "decisions": len(replays),
        "identical": same,
        "replays": [each.model_dump(mode="json") | {"identical": each.identical} for each in replays],
    }
    answer(document, lambda out: _tell(out, replays, same))
    raise typer.Exit(Exit.DONE if same == len(replays) else Exit.FAILED)


def _tell(out: Console, replays: list[Replay], same: int) -> None:
    for each in replays:
        if each.identical and len(replays) > 1:
            continue
        said = each.problem or f"{len(each.differences)} differences" * bool(each.differences) or "identical"
        title = f"{each.decision_id[:12]} {each.line} {each.batch_id}: {said}"
        out.print(title, markup=False)
        if each.differences:
            rows = [(one.where, one.recorded, one.replayed) for one in each.differences[:SHOWN]]
            out.print(table("", ("where", "recorded", "replayed"), rows))
        if each.from_scores:
            out.print(f"numbers from the scores of every item: {each.from_scores}", markup=False)
        out.print(f"decided by {each.decided_by}, replayed by {each.replayed_by}", markup=False)
    out.print(f"{same} of {len(replays)} decisions are identical.")


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
