"""`mlops lines` and `mlops policy show`: what is declared, and by which numbers it is decided."""

from typing import Any

import typer
from pydantic import BaseModel

from mlops_assets.cli.context import LineName, line, platform
from mlops_assets.cli.output import Json, answer, table

policy = typer.Typer(no_args_is_help=True, help="The numbers decisions are made by.")


def lines(json: Json = False) -> None:
    """List the model lines with their families, production versions and primary metrics."""
    rows = []
    for known in platform().lines():
        roles = platform().versions.pointer(known.line).roles
        rows.append(
            {
                "line": known.line,
                "family": known.family,
                "production": roles.get("production"),
                "previous": roles.get("previous"),
                "batches": len(platform().batches.list(known.line)),
                "primary_metric": known.policy.primary.metric,
                "margin": known.policy.primary.margin,
                "description": known.description,
            }
        )
    columns = ("line", "family", "production", "batches", "decides", "description")
    cells = [
        {**row, "decides": f"{row['primary_metric']}, margin {row['margin']:g}", "production": _version(row)}
        for row in rows
    ]
    answer(rows, lambda out: out.print(table("Model lines", columns, [[row[key] for key in columns] for row in cells])))


def _version(row: dict[str, Any]) -> str:
    return f"v{row['production']}" if row["production"] else "none yet"


@policy.command("show")
def show(name: LineName, json: Json = False) -> None:
    """Print a line's policy with the meaning of each number."""
    chosen = line(name).policy
    rows = list(_explained(chosen))
    document = {"line": name, "digest": chosen.digest, "policy": chosen.model_dump(mode="json")}
    answer(
        document, lambda out: out.print(table(f"Policy of {name} ({chosen.digest[:12]})", ("key", "value", ""), rows))
    )


def _explained(model: BaseModel, prefix: str = "") -> list[tuple[str, Any, str]]:
    rows: list[tuple[str, Any, str]] = []
    for key, field in type(model).model_fields.items():
        value = getattr(model, key)
        if isinstance(value, BaseModel):
            rows += _explained(value, f"{prefix}{key}.")
        elif isinstance(value, tuple):
            for index, part in enumerate(value):
                rows += _explained(part, f"{prefix}{key}[{index}].")
        else:
            rows.append((prefix + key, value, field.description or ""))
    return rows
