"""`mlops why`: whether a line would train on what was collected now, and if not, what stands against it."""

from rich.console import Console

from mlops_assets.cli.context import LineName, line, platform
from mlops_assets.cli.output import Json, answer, table
from mlops_assets.lifecycle.collection.triggering import Why
from mlops_assets.lifecycle.collection.triggering import why as lifecycle_why
from mlops_assets.lifecycle.troubleshooting import Trouble, troubleshoot

COLUMNS = ("condition", "now", "needed", "met", "what it means")


def why(name: LineName, json: Json = False) -> None:
    """Say why a training on what was collected starts, or does not: every condition, and all that has to run."""
    chosen, now = line(name), platform().clock()
    troubles = troubleshoot(platform(), chosen, now)
    found = lifecycle_why(platform(), chosen, now)
    document = found.model_dump(mode="json") | {"running": [each.model_dump(mode="json") for each in troubles]}

    def human(out: Console) -> None:
        describe(out, found)
        _running(out, troubles)

    answer(document, human)


def describe(out: Console, found: Why) -> None:
    """Print every condition with its value and limit, and what to do."""
    out.print(found.sentence, style="bold", markup=False)
    rows = [
        (each.name, each.value, each.limit, "yes" if each.met else "no", each.sentence) for each in found.conditions
    ]
    out.print(table("One of examples, errors and error rate has to be met, and all that comes before", COLUMNS, rows))
    for reason, count in found.left_out.items():
        out.print(f"- {count} reports cannot be learned from: {reason}", markup=False)
    for each in found.conditions:
        if each.todo:
            out.print(f"do: {each.todo}", markup=False)


def _running(out: Console, troubles: tuple[Trouble, ...]) -> None:
    rows = [(each.name, "yes" if each.works else "no", f"{each.sentence} {each.todo}".strip()) for each in troubles]
    out.print(table("What has to run", ("what", "works", "what it means"), rows))
