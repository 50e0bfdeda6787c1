"""`mlops keys`: who may call the gateway, and as what."""

from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from mlops_assets.cli.context import actor, platform
from mlops_assets.cli.output import Json, answer, table
from mlops_assets.core.serving import AccessRole, ApiKey
from mlops_assets.lifecycle import keys

app = typer.Typer(no_args_is_help=True, help="Keys of the gateway's callers; only their hashes are kept.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Who holds it: the actor that the ledger will show.")]


@app.command("add")
def add(
    name: Name,
    role: Annotated[
        AccessRole,
        typer.Option(
            help="viewer reads; contributor predicts and collects; reviewer answers reviews and rolls back; "
            "admin deploys, starts, stops and trains."
        ),
    ] = "contributor",
    days: Annotated[float | None, typer.Option(help="Days that it counts for; for ever if not given.")] = None,
    json: Json = False,
) -> None:
    """Make a key and show it once; it cannot be shown again."""
    secret, key = keys.issue(platform(), name, role, days=days, actor=actor())

    def human(out: Console) -> None:
        out.print(f"The key of {name} ({role}); keep it, it is not shown again:", markup=False)
        out.print(secret, markup=False, soft_wrap=True)

    answer({"key": secret, **_shown(key)}, human)


@app.command("list")
def list_(json: Json = False) -> None:
    """List the keys there are, and those that no longer count."""
    shown = [_shown(key) for key in platform().keys.list()]
    columns = ("name", "role", "state", "created_at", "expires_at")
    rows = [[each[column] for column in columns] for each in shown]
    answer(shown, lambda out: out.print(table("Keys", columns, rows)))


@app.command("revoke")
def revoke(name: Name, json: Json = False) -> None:
    """Make a key worthless; every gateway refuses it within two seconds."""
    key = keys.revoke(platform(), name, actor=actor())
    answer(_shown(key), lambda out: out.print(f"The key of {name} counts no longer.", markup=False))


def _shown(key: ApiKey) -> dict[str, str | None]:
    document = key.model_dump(mode="json", exclude={"sha256"})
    return {**document, "state": _state(key)}


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    ended = key.expires_at is not None and datetime.fromisoformat(key.expires_at) <= platform().clock()
    return "expired" if ended else "valid"
