"""`mlops deploy`, `advance`, `promote`, `retire` and `served`: how a version reaches users, and what they had."""

from datetime import UTC, datetime
from typing import Annotated, get_args

import typer

from mlops_assets.cli.context import LineName, Reason, actor, line, platform
from mlops_assets.cli.output import Json, answer, console, table
from mlops_assets.core.errors import NotFound, UsageError
from mlops_assets.core.ports.releases import Pointer
from mlops_assets.core.serving import Strategy
from mlops_assets.lifecycle.deployment import retention, rollout, serving_history
from mlops_assets.lifecycle.status import shares

Number = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="`mlops versions LINE` lists them.")]


def deploy(
    name: LineName,
    version: Number,
    reason: Reason,
    strategy: Annotated[
        str | None, typer.Option(help="replace, blue_green or canary; default: the line's strategy.")
    ] = None,
    json: Json = False,
) -> None:
    """Let a version that there is serve: at once, once every gateway has loaded it, or step by step."""
    chosen = next((each for each in get_args(Strategy) if each == strategy), None)
    if strategy is not None and chosen is None:
        raise UsageError(f"'{strategy}' is no strategy.", f"The strategies are: {', '.join(get_args(Strategy))}.")
    _tell(rollout.deploy(platform(), line(name), version, strategy=chosen, actor=actor(), reason=reason), "deployed")


def advance(name: LineName, reason: Reason, json: Json = False) -> None:
    """Give the canary its next share of users; one that is held goes on, too."""
    _tell(rollout.advance(platform(), line(name), actor=actor(), reason=reason), "advanced")


def promote(name: LineName, reason: Reason, json: Json = False) -> None:
    """Give the version that is being rolled out to all users."""
    _tell(rollout.promote(platform(), line(name), actor=actor(), reason=reason), "promoted")


def retire(name: LineName, version: Number, reason: Reason, json: Json = False) -> None:
    """Let a version never serve again, and delete the bytes that only it needed."""
    retired = rollout.retire(platform(), line(name), version, actor=actor(), reason=reason)
    freed = retention.delete_retired(platform())
    document = {**retired.model_dump(mode="json"), "bytes_freed": freed}
    later = "its bytes are needed elsewhere, or go once no line is at work (`mlops up` sees to it)"
    said = f"{freed / 1e6:.1f} MB are free" if freed else later
    answer(document, lambda out: out.print(f"{name} v{version} is retired; {said}."))
    console.print(f"[dim]ledger: retired by {actor()}[/]")


def served(
    name: LineName,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="ISO 8601, UTC unless it says else.")] = None,
    json: Json = False,
) -> None:
    """Show what was served at a time, or ever: to which share of users, why, from which batch, and by whom."""
    chosen = line(name)
    rows = serving_history.history(platform(), chosen)
    if at is not None:
        time = _time(at)
        found = serving_history.served_at(platform(), chosen, time)
        if found is None:
            first = f"It began at {rows[0].at}." if rows else f"Submit a batch: `mlops submit {name} PATH`."
            raise NotFound(f"{name} served nothing at {time.isoformat()}.", first)
        rows = [found]
    columns = ("from (UTC)", "event", "by", "serves", "users", "batch", "why")
    cells = [
        (
            *((row.at[:19].replace("T", " "), row.event, row.actor) if not number else ("", "", "")),
            f"v{arm.version}",
            f"{arm.share:.0%}",
            arm.batch_id,
            row.reason if not number else " ".join(arm.reasons),
        )
        for row in rows
        for number, arm in enumerate(row.arms)
    ]
    document = {"line": name, "at": at, "served": [row.model_dump(mode="json") for row in rows]}
    answer(document, lambda out: out.print(table(f"What {name} served", columns, cells)))


def under_way(pointer: Pointer) -> str:
    """Return a sentence on how a rollout goes on, for whoever began it."""
    found = pointer.rollout
    if found is None:
        return f"{pointer.line} serves v{pointer.roles['production']} to all users."
    if found.strategy == "blue_green":
        return (
            f"v{found.version} of {pointer.line} is being loaded beside v{found.against}; it takes over once every "
            f"gateway has it. By hand: mlops promote {pointer.line} --reason TEXT"
        )
    held = f" It is held: {found.held}" if found.held else ""
    return (
        f"v{found.version} of {pointer.line} answers {found.share:.0%} of users, v{found.against} the others.{held} "
        "While a gateway serves (`mlops serve`, `mlops up`) it is judged and goes on by itself; without one it stays. "
        f"By hand: mlops advance|promote|rollback {pointer.line} --reason TEXT"
    )


def _tell(pointer: Pointer, event: str) -> None:
    document = {
        **pointer.model_dump(mode="json"),
        "shares": {str(each): part for each, part in shares(pointer).items()},
    }
    answer(document, lambda out: out.print(under_way(pointer), markup=False))
    console.print(f"[dim]ledger: {event} by {actor()}[/]")


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"'{text}' is no time.", "Write it as 2026-11-21T14:30.") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
