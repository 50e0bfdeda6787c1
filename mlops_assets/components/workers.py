"""Which process works on a run, so that a run whose process is gone can be told from one that is slow.

Dagster's local launcher has no health check of its own: after a power loss its runs would count as started for hours.
"""

import socket
from datetime import UTC, datetime, timedelta

import dagster as dg
import psutil
from dagster import DagsterRunStatus

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform

WORKER_TAG = "mlops/worker"
UNSIGNED = timedelta(minutes=10)  # a run signs as soon as its first asset begins


def sign(platform: Platform, line: Line, context: dg.AssetExecutionContext) -> None:
    """Write into the run's tags that this process works on it, and into the ledger that it works on this batch."""
    mine = f"{context.run.run_id}@{worker_name(psutil.Process())}"
    if context.run.tags.get(WORKER_TAG) == mine:
        return
    context.instance.add_run_tags(context.run.run_id, {WORKER_TAG: mine})
    platform.ledger.append(
        "run",
        line.line,
        actor="dagster",
        batch_id=context.partition_key,
        body={"run_id": context.run.run_id, "job": context.run.job_name},
        key=f"run:{context.run.run_id}",
    )


def fail_lost_runs(instance: dg.DagsterInstance) -> int:
    """Fail every started run whose process on this host is gone, or never got to work; return how many there were."""
    records = instance.get_run_records(dg.RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]))
    lost = 0
    for record in records:
        why = _lost(
            record.dagster_run, datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), UTC)
        )
        if why is not None:
            instance.report_run_failed(record.dagster_run, why)
            lost += 1
    return lost


def worker_name(process: psutil.Process) -> str:
    """Return what no other process has: its host, its id, and how many seconds after the host's start it began.

    By the wall clock it would have another name whenever that is set, or drifts over a second's edge.
    """
    return f"{socket.gethostname()}:{process.pid}:{process.create_time() - psutil.boot_time():.0f}"


def _lost(run: dg.DagsterRun, started: datetime) -> str | None:
    """Say why a started run counts as lost, or None. A run started again inherits the tag of the one before it."""
    run_id, _, worker = run.tags.get(WORKER_TAG, "").partition("@")
    if run_id != run.run_id:
        return "No process took up this run." if datetime.now(UTC) - started > UNSIGNED else None
    return f"The process {worker} of this run is gone." if _is_gone(worker) else None


def _is_gone(worker: str) -> bool:
    host, _, rest = worker.rpartition(":")[0].partition(":")
    if host != socket.gethostname():
        return False
    try:
        return worker_name(psutil.Process(int(rest))) != worker
    except psutil.NoSuchProcess:
        return True
