"""Which process works on a run, so that a run whose process is gone can be told from one that is slow.

Dagster's local launcher has no health check of its own: after a power loss its runs would count as started for hours.
"""

import socket

import dagster as dg
import psutil
from dagster import DagsterRunStatus

from mlops_assets.core.line import Line
from mlops_assets.core.ports import Platform

WORKER_TAG = "mlops/worker"


def sign(platform: Platform, line: Line, context: dg.AssetExecutionContext) -> None:
    """Write into the run's tags that this process works on it, and into the ledger that it works on this batch."""
    mine = _name(psutil.Process())
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
    """Fail every started run of this host whose process is gone; return how many there were."""
    runs = instance.get_runs(dg.RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]))
    lost = [run for run in runs if _is_lost(run.tags.get(WORKER_TAG, ""))]
    for run in lost:
        instance.report_run_failed(run, f"The process {run.tags[WORKER_TAG]} of this run is gone.")
    return len(lost)


def _name(process: psutil.Process) -> str:
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.0f}"


def _is_lost(worker: str) -> bool:
    host, _, rest = worker.rpartition(":")[0].partition(":")
    if host != socket.gethostname():
        return False
    try:
        return _name(psutil.Process(int(rest))) != worker
    except psutil.NoSuchProcess:
        return True
