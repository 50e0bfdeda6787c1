"""What Dagster knows of the runs of a batch, and which sensor may launch the next."""

from datetime import datetime

import dagster as dg
from dagster import DagsterRunStatus

from mlops_assets.core.line import Line
from mlops_assets.core.orchestration import LINE_TAG, PARTITION_TAG, STAGE_TAG
from mlops_assets.core.ports.intake import Batch
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle import launching

IN_PROGRESS = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def claim(platform: Platform, line: Line, batch_id: str, stage: str, instance: dg.DagsterInstance) -> bool:
    """Return True to the one caller that may launch this stage of this batch; see `launching.claim`."""

    def launched() -> bool:
        return has_run(instance, line, batch_id, stage)

    return launching.claim(platform, line, batch_id, stage, actor="sensor", launched=launched)


def has_run(instance: dg.DagsterInstance, line: Line, batch_id: str, stage: str) -> bool:
    """Say whether any run of this stage of this batch was ever created."""
    tags = {PARTITION_TAG: batch_id, STAGE_TAG: stage, LINE_TAG: line.line}
    return bool(instance.get_run_ids(dg.RunsFilter(tags=tags), limit=1))


def limit(instance: dg.DagsterInstance, platform: Platform) -> None:
    """Make every line's pool known with the default limit: Dagster holds back no run of a pool it has not met."""
    known = {pool.name for pool in instance.event_log_storage.get_pool_limits()}
    for line in platform.lines():
        if line.line not in known:
            instance.event_log_storage.initialize_concurrency_limit_to_default(line.line)


def of_line(run: dg.DagsterRun, line: Line) -> bool:
    """Say whether a run works on a line: one of its jobs, or some of its assets, chosen by a person or a backfill."""
    return run.tags.get(LINE_TAG) == line.line or any(key.path[0] == line.line for key in run.asset_selection or ())


def in_progress(instance: dg.DagsterInstance, line: Line, batch_id: str | None = None) -> bool:
    """Say whether a run of the line other than an intake (or any run of one batch) waits or works."""
    tags = {} if batch_id is None else {PARTITION_TAG: batch_id}
    runs = instance.get_runs(dg.RunsFilter(tags=tags, statuses=IN_PROGRESS))
    return any(of_line(run, line) and (batch_id or run.tags.get(STAGE_TAG) != "intake") for run in runs)


def awaits_intake(batch: Batch, line: Line, instance: dg.DagsterInstance, now: datetime) -> bool:
    """Say whether a batch without a verdict on its data may still get one: its run waits, works, or is yet to come."""
    if in_progress(instance, line, batch.batch_id):
        return True
    recent = now - datetime.fromisoformat(batch.received_at) < launching.LOST_AFTER
    return recent and not has_run(instance, line, batch.batch_id, "intake")
