"""The `mlops` command: one module per noun, assembled here."""

import typer
from dotenv import load_dotenv

from mlops_assets.cli import (
    batches,
    compare,
    decisions,
    demo,
    doctor,
    events,
    exports,
    keys,
    lines,
    quarantine,
    reports,
    reviews,
    rollouts,
    serve,
    train,
    up,
    versions,
    watch,
    why,
)
from mlops_assets.cli.output import fail
from mlops_assets.core.disk import refused_by_disk
from mlops_assets.core.errors import PlatformError
from mlops_assets.wiring.settings import dotenv

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Models in production that keep improving by themselves, safely.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but not deployed.",
)
app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("doctor")(doctor.doctor)
app.command("lines")(lines.lines)
app.command("submit")(batches.submit)
app.command("run")(batches.run)
app.command("batches")(batches.batches)
app.command("show")(batches.show)
app.command("status")(batches.status)
app.command("report")(reports.report)
app.command("compare")(compare.compare)
app.command("why")(why.why)
app.command("train")(train.train)
app.command("versions")(versions.versions)
app.command("lineage")(versions.lineage)
app.command("deploy")(rollouts.deploy)
app.command("advance")(rollouts.advance)
app.command("promote")(rollouts.promote)
app.command("rollback")(versions.rollback)
app.command("retire")(rollouts.retire)
app.command("served")(rollouts.served)
app.command("rebaseline")(versions.rebaseline)
app.command("serve")(serve.serve)
app.command("watch")(watch.watch)
app.command("export")(exports.export)
app.add_typer(decisions.app, name="decisions")
app.add_typer(reviews.app, name="reviews")
app.add_typer(events.app, name="events")
app.add_typer(keys.app, name="keys")
app.add_typer(lines.policy, name="policy")
app.add_typer(quarantine.app, name="quarantine")


def main() -> None:
    """Run the command; a platform error, or what the disk refuses, becomes a sentence and an exit code.

    The project's .env counts for all that runs below: a line's YAML, the keys of a data judge, the workers.
    """
    load_dotenv(dotenv())
    try:
        app()
    except PlatformError as error:
        fail(error)
    except Exception as error:
        found = refused_by_disk(error)
        if found is None:
            raise
        fail(found)
