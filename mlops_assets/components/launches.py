"""Launching a batch once: a claim in the ledger that exactly one of any number of sensors wins."""

import uuid
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterRunStatus

from mlops_assets.components.jobs import LINE_TAG
from mlops_assets.core.line import Line
from mlops_assets.core.ports import Platform

STAGE_TAG = "mlops/stage"
PARTITION_TAG = "dagster/partition"
LOST_AFTER = timedelta(minutes=10)
IN_PROGRESS = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def claim(platform: Platform, line: Line, batch_id: str, stage: str, instance: dg.DagsterInstance) -> bool:
    """Return True to the one caller that may launch this stage of this batch.

    A claim that never became a run within ten minutes (its sensor died) may be made once more.
    """
    entries = [
        entry for entry in platform.ledger.entries(line.line, "launch", batch_id) if entry.body["stage"] == stage
    ]
    if entries:
        recent = datetime.now(UTC) - datetime.fromisoformat(entries[-1].at) < LOST_AFTER
        if recent or has_run(instance, line, batch_id, stage):
            return False
    token = uuid.uuid4().hex
    entry = platform.ledger.append(
        "launch",
        line.line,
        actor="sensor",
        body={"stage": stage, "token": token},
        batch_id=batch_id,
        key=f"launch:{line.line}:{batch_id}:{stage}:{len(entries)}",
    )
    return entry.body["token"] == token


def has_run(instance: dg.DagsterInstance, line: Line, batch_id: str, stage: str) -> bool:
    """Say whether any run of this stage of this batch was ever created."""
    tags = {PARTITION_TAG: batch_id, STAGE_TAG: stage, LINE_TAG: line.line}
    return bool(instance.get_run_ids(dg.RunsFilter(tags=tags), limit=1))


def in_progress(instance: dg.DagsterInstance, line: Line, batch_id: str | None = None) -> bool:
    """Say whether a run of the line's job (or any run of one batch) waits or works."""
    if batch_id is None:
        filters = dg.RunsFilter(job_name=line.line, statuses=IN_PROGRESS)
    else:
        filters = dg.RunsFilter(tags={PARTITION_TAG: batch_id, LINE_TAG: line.line}, statuses=IN_PROGRESS)
    return bool(instance.get_run_ids(filters, limit=1))
