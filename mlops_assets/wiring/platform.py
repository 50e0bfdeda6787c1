"""Ports and who fills them."""

import functools
import os
from pathlib import Path

from mlops_assets.core.clock import Clock, utc_now
from mlops_assets.core.line import Line
from mlops_assets.core.ports.execution import Compute
from mlops_assets.core.ports.intake import InboxSource
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.serving import Live
from mlops_assets.wiring.families import code_version, load_family
from mlops_assets.wiring.lines import read_lines
from mlops_assets.wiring.settings import Settings, read_settings


def open_platform(
    chosen: Settings | None = None, *, compute: Compute | None = None, clock: Clock = utc_now
) -> Platform:
    """Fill every port from settings; `compute` replaces the local processes of tasks, `clock` that of the machine."""
    from mlops_assets.adapters.alerts_apprise import AppriseAlerts
    from mlops_assets.adapters.analyst_langchain import LangChainAnalyst
    from mlops_assets.adapters.artifact_store import FsspecStore
    from mlops_assets.adapters.challenger_langchain import LangChainChallengers
    from mlops_assets.adapters.dagster_graphql import DagsterGraphql
    from mlops_assets.adapters.database.batches import SqlBatches
    from mlops_assets.adapters.database.engine import Database
    from mlops_assets.adapters.database.events import SqlEvents
    from mlops_assets.adapters.database.keys import SqlKeys
    from mlops_assets.adapters.database.leases import SqlLeases
    from mlops_assets.adapters.database.ledger import SqlLedger
    from mlops_assets.adapters.database.outbox import Outbox
    from mlops_assets.adapters.database.records import SqlRecords
    from mlops_assets.adapters.database.reviews import SqlReviews
    from mlops_assets.adapters.database.versions import SqlVersions
    from mlops_assets.adapters.database.watch import SqlWatch
    from mlops_assets.adapters.hub_huggingface import HuggingFaceHub
    from mlops_assets.adapters.judge_langchain import LangChainJudge
    from mlops_assets.adapters.process import LocalProcess
    from mlops_assets.adapters.serving_pointer import ServingPointer
    from mlops_assets.adapters.tracker_mlflow import MlflowTracker

    made = chosen or read_settings()
    made.home.mkdir(parents=True, exist_ok=True)
    # Matplotlib would keep its list of fonts in the user's own cache; nothing is written outside the home.
    os.environ.setdefault("MPLCONFIGDIR", str(made.home / "cache" / "matplotlib"))
    database = Database(made.database_url, clock=clock)
    outbox, leases, store = Outbox(database), SqlLeases(database), FsspecStore(made.artifacts_url, made.home)
    return Platform(
        clock=clock,
        home=made.home,
        root=made.root,
        store=store,
        batches=SqlBatches(database),
        records=SqlRecords(database),
        ledger=SqlLedger(database),
        versions=SqlVersions(database),
        reviews=SqlReviews(database),
        events=SqlEvents(database),
        watch=SqlWatch(database),
        keys=SqlKeys(database),
        leases=leases,
        alerts=AppriseAlerts(made.alert_urls, outbox=outbox, leases=leases),
        tracker=MlflowTracker(
            made.tracking_uri, made.home, store=store, outbox=outbox, leases=leases, ui=made.tracking_ui
        ),
        compute=compute or LocalProcess(made.home, root=made.root),
        serving=ServingPointer(made.home, store=store),
        hub=HuggingFaceHub(),
        judge=LangChainJudge(),
        analyst=LangChainAnalyst(),
        challengers=LangChainChallengers(),
        orchestrator=DagsterGraphql(made.dagster_ui),
        family=load_family,
        lines=functools.cache(lambda: tuple(read_lines(made))),
        code_version=code_version,
        checkpoints_url=made.checkpoints_url,
    )


def read_live(line: str, chosen: Settings | None = None) -> Live | None:
    """Return what is published of a line, None for nothing; no database is opened."""
    from mlops_assets.adapters.artifact_store import FsspecStore
    from mlops_assets.adapters.serving_pointer import ServingPointer

    made = chosen or read_settings()
    return ServingPointer(made.home, store=FsspecStore(made.artifacts_url, made.home)).live(line)


def inbox_folder(chosen: Settings | Platform, line: Line) -> Path:
    """Return the folder that is watched for a line's uploads."""
    return chosen.root / line.inbox if line.inbox else chosen.home / "inbox" / line.line


def inbox_source(chosen: Settings | Platform, line: Line) -> InboxSource:
    """Return what looks for a line's uploads."""
    from mlops_assets.adapters.inbox_folder import InboxFolder

    return InboxFolder(inbox_folder(chosen, line))
