"""`mlops versions`, `lineage`, `rollback` and `rebaseline`: what served, where it came from, and the ways back."""

from typing import Annotated, Any

import typer

from mlops_assets.cli.context import LineName, Reason, actor, line, platform
from mlops_assets.cli.output import Json, answer, console, table
from mlops_assets.core.records.base import AssetRecord
from mlops_assets.lifecycle import rebasing, status
from mlops_assets.lifecycle.deployment import rollout


def versions(name: LineName, json: Json = False) -> None:
    """List a line's versions and the roles they hold."""
    rows = status.versions(platform(), line(name))
    columns = ("version", "roles", "share", "state", "strategy", "batch_id", "decision_id", "digest", "deployed_at")
    answer(
        rows,
        lambda out: out.print(
            table(
                f"Versions of {name}",
                columns,
                [[_cell(key, row[key]) for key in columns] for row in rows],
            )
        ),
    )


def lineage(name: LineName, version: Annotated[int, typer.Argument(min=1)], json: Json = False) -> None:
    """Show what a version was made from: decision, report, candidate, data, batch, and the version before it."""
    chosen = platform().versions.get(line(name).line, version)
    chain: list[dict[str, Any]] = []
    if chosen.batch_id:
        for asset in ("raw_batch", "validated_data", "candidate_model", "eval_report", "decision", "deployed_version"):
            record = platform().records.get(name, chosen.batch_id, asset)
            if isinstance(record, AssetRecord):
                chain.append({"asset": asset, "digest": record.digest, "parents": record.parents})
    document = {**chosen.model_dump(mode="json"), "chain": chain}
    rows = [(link["asset"], _short(link["digest"]), ", ".join(link["parents"])) for link in chain]
    source = chosen.batch_id or (
        f"`rebaseline` of v{chosen.parent_version}" if chosen.parent_version else "the base model"
    )
    after = f", after v{chosen.parent_version}" if chosen.parent_version else ""
    title = f"{name} v{version} from {source}{after}"
    answer(document, lambda out: out.print(table(title, ("asset", "digest", "made from"), rows)))


def rollback(
    name: LineName,
    reason: Reason,
    to: Annotated[int | None, typer.Option(help="Version to serve again; default: the last good one.")] = None,
    json: Json = False,
) -> None:
    """Take a rollout back at once, else serve the last good version, or a named one, again."""
    pointer = rollout.rollback(platform(), line(name), to=to, reason=reason, actor=actor())
    live = platform().serving.live(name)
    document = {
        "line": name,
        "roles": pointer.roles,
        "revision": pointer.revision,
        "serving": live and live.model_dump(mode="json"),
    }
    answer(document, lambda out: out.print(f"{name} serves v{pointer.roles['production']} to all users again."))
    console.print(f"[dim]ledger: rolled_back by {actor()}[/]")


def rebaseline(
    name: LineName,
    reason: Reason,
    base: Annotated[
        bool, typer.Option("--base", help="If its weights are lost, too: start from the base model.")
    ] = False,
    json: Json = False,
) -> None:
    """Replace a production version that does not load or whose bytes are lost; refused while it can be compared."""
    done = rebasing.rebaseline(platform(), line(name), reason=reason, actor=actor(), to_base=base)
    what = "weights of the replaced one, exported again" if done.source == "weights" else "base model"
    answer(
        done.model_dump(mode="json"),
        lambda out: out.print(f"{name} serves v{done.version} in place of v{done.replaced}: the {what}."),
    )
    console.print(f"[dim]ledger: rebaselined by {actor()}[/]")


def _short(value: object) -> object:
    return value[:12] if isinstance(value, str) and len(value) == 64 else value


def _cell(column: str, value: object) -> object:
    if column == "share":
        return f"{value:.0%}" if value else ""
    return ", ".join(value) if isinstance(value, list) else _short(value)
