"""`mlops lines` and `mlops policy`: what is declared, by which numbers it is decided, and what others would change."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from pydantic import BaseModel
from rich.console import Console

from mlops_assets.cli.context import LineName, line, platform
from mlops_assets.cli.output import Json, answer, table
from mlops_assets.lifecycle import backtesting
from mlops_assets.lifecycle.worth import Worth
from mlops_assets.wiring.lines import declared_in, read_policy

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
    """Print a line's policy: every number with its meaning and default, those that differ from it marked with *."""
    chosen = line(name).policy
    source = declared_in(name)
    rows = list(_explained(chosen))
    document = {
        "line": name,
        "digest": chosen.digest,
        "declared_in": str(source),
        "policy": chosen.model_dump(mode="json"),
        "explained": [row._asdict() for row in rows],
    }
    cells = [("*" if row.changed else "", row.key, _cell(row.value), _cell(row.default), row.meaning) for row in rows]

    def human(out: Console) -> None:
        out.print(table(f"Policy of {name}", ("", "key", "value", "default", "meaning"), cells))
        out.print(f"* differs from the default\ndigest {chosen.digest}\ndeclared in {source}", markup=False)

    answer(document, human)


class Explained(NamedTuple):
    """One number of a policy; `default` is None for one that a line has to give."""

    key: str
    value: Any
    default: Any
    changed: bool
    meaning: str


def _explained(model: BaseModel, prefix: str = "") -> Iterator[Explained]:
    for key, field in type(model).model_fields.items():
        value, default = getattr(model, key), field.get_default()
        required, meaning = field.is_required(), field.description or ""
        if isinstance(value, BaseModel):
            yield from _explained(value, f"{prefix}{key}.")
        elif isinstance(value, tuple) and value:
            for index, part in enumerate(value):
                if isinstance(part, BaseModel):
                    yield from _explained(part, f"{prefix}{key}[{index}].")
                else:
                    yield Explained(f"{prefix}{key}[{index}]", part, None, True, meaning)
        else:
            plain = () if required else default
            yield Explained(prefix + key, value, None if required else plain, required or value != plain, meaning)


def _cell(value: Any) -> str:
    match value:
        case None | ():
            return "-"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


@policy.command("backtest")
def backtest(
    name: LineName,
    file: Annotated[
        Path,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="YAML: a whole policy, or a file that holds one under `policy` (a line's YAML, or what "
            "`mlops policy show --json` prints).",
        ),
    ],
    merge: Annotated[
        bool, typer.Option("--merge", help="FILE names only what differs from the line's policy.")
    ] = False,
    json: Json = False,
) -> None:
    """Decide a line's whole history again under another policy: which releases flip, and what each has been worth.

    Nothing is recorded. Works on a copy of a home, if the line is declared there.
    """
    chosen = line(name)
    found = backtesting.backtest(platform(), chosen, read_policy(file, chosen, merge=merge))
    answer(found.model_dump(mode="json"), lambda out: _tell(out, found))


def _tell(out: Console, found: backtesting.Backtest) -> None:
    rows = [
        (each.batch_id, each.was, each.would_be, "FLIPS" * each.flips, _released(each.version), _because(each))
        for each in found.retrials
    ]
    columns = ("batch", "was", "would be", "", "released as", "why")
    out.print(table(f"{found.line} under policy {found.policy[:12]}", columns, rows))
    flipped = [each for each in found.retrials if each.flips]
    releases = [each for each in flipped if each.version is not None]
    out.print(
        f"{len(flipped)} of {len(rows)} decisions flip, {len(releases)} of them releases; "
        f"{found.undecided} batches were refused before there was anything to decide."
    )
    if found.worth:
        out.print(
            table(
                f"What each release has been worth in {found.worth[0].metric} (positive: a gain)",
                ("version", "before", "gain", "bounds", "items", "measured on", "rolled back"),
                [_measured(each) for each in found.worth],
            )
        )
    for sentence in found.unknowable:
        out.print(f"- {sentence}", markup=False)


def _measured(worth: Worth) -> tuple[object, ...]:
    version, before = f"v{worth.version}", _released(worth.previous)
    rolled_back = "; ".join(worth.rolled_back)
    if worth.delta is None:
        return version, before, "not measured", "", "", worth.not_measured, rolled_back
    bounds = "-" if worth.lower is None or worth.upper is None else f"{worth.lower:+.4f} to {worth.upper:+.4f}"
    sources = f"{', '.join(worth.sources)} ({worth.origin} data)"
    return version, before, f"{worth.delta:+.4f}", bounds, worth.items, sources, rolled_back


def _because(retrial: backtesting.Retrial) -> str:
    return " ".join(part for part in (retrial.why if retrial.flips else "", *retrial.remarks) if part)


def _released(version: int | None) -> str:
    return "-" if version is None else f"v{version}"
