"""`mlops export`: a version's files for a device or another program, and what was measured of them."""

from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.cli.context import LineName, line, platform
from mlops_assets.cli.output import Json, answer
from mlops_assets.lifecycle.deployment.exporting import Format
from mlops_assets.lifecycle.deployment.exporting import export as export_version


def export(
    name: LineName,
    output: Annotated[Path, typer.Option(help="Folder to write to; nothing in it is overwritten.")],
    version: Annotated[int | None, typer.Option(min=1, help="Version; default: the one that serves.")] = None,
    kind: Annotated[
        Format, typer.Option("--format", help="served: the bytes that serve; reference: their full-precision twin.")
    ] = "served",
    json: Json = False,
) -> None:
    """Write a version's files as LINE_model_vN.EXT, with metrics_vN.json beside them."""
    made = export_version(platform(), line(name), version, kind, output)
    answer(
        made.model_dump(mode="json"),
        lambda out: out.print("\n".join(str(output / each) for each in sorted(made.files)), markup=False),
    )
