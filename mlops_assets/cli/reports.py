"""`mlops report`: a page of a line's data, models and errors, or of one evaluation, made from what is recorded."""

import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from mlops_assets.cli.context import LineName, batch_id, line, platform
from mlops_assets.cli.output import Json, answer, console
from mlops_assets.lifecycle.line_report import line_report, write_batch_page, write_line_page
from mlops_assets.lifecycle.status import show


def report(
    name: LineName,
    batch: Annotated[str | None, typer.Option(help="The evaluation of one batch, as it was recorded.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder to write to; default: <home>/reports.")] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    json: Json = False,
) -> None:
    """Write the report page of a line, which any browser opens: data exploration, model comparison, error analysis."""
    chosen, folder = line(name), (output or platform().home / "reports").absolute()
    document: dict[str, Any]
    if batch is None:
        page = write_line_page(platform(), chosen, folder)
        document = (
            {"page": str(page), "report": line_report(platform(), chosen).model_dump(mode="json")} if json else {}
        )
    else:
        known = batch_id(name, batch)
        page = write_batch_page(platform(), chosen, known, folder)
        document = {"page": str(page), "report": show(platform(), chosen, known)}
    answer(document, lambda out: out.print(str(page), markup=False, soft_wrap=True))
    if open_it and not webbrowser.open(page.as_uri()):
        console.print("There is no browser here; open the page in one.")
