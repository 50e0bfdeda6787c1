"""Launching a batch once, by a claim in the ledger that exactly one of any number of sensors and people wins; and
switching on or off what launches by itself.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue

from mlops_assets.core.line import Line
from mlops_assets.core.ports.execution import Sensor
from mlops_assets.core.ports.intake import Batch
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.collection.triggering import Why, trigger

LOST_AFTER = timedelta(minutes=10)


def claim(
    platform: Platform,
    line: Line,
    batch_id: str,
    stage: str,
    *,
    actor: str,
    launched: Callable[[], bool] = lambda: False,
) -> bool:
    """Return True to the one caller that may launch this stage of this batch.

    A claim that never became a run within ten minutes (its holder died) may be made once more; `launched` says whether
    there was one.
    """
    entries = [
        entry for entry in platform.ledger.entries(line.line, "launch", batch_id) if entry.body["stage"] == stage
    ]
    if entries:
        recent = platform.clock() - datetime.fromisoformat(entries[-1].at) < LOST_AFTER
        if recent or launched():
            return False
    token = uuid.uuid4().hex
    entry = platform.ledger.append(
        "launch",
        line.line,
        actor=actor,
        body={"stage": stage, "token": token},
        batch_id=batch_id,
        key=f"launch:{line.line}:{batch_id}:{stage}:{len(entries)}",
    )
    return entry.body["token"] == token


@dataclass(frozen=True)
class Launched:
    """What was started: the batch that was made and its run, None where there is none; `why` says why."""

    why: Why
    batch: Batch | None
    run_id: str | None


def launch_training(platform: Platform, line: Line, now: datetime, *, actor: str, force: bool) -> Launched:
    """Gather what was reported and start a run of its whole chain, as `trigger` decides.

    Unavailable, before anything is gathered, where there is nobody to run it; without a run id, a sensor was faster.
    """
    platform.orchestrator.sensors(line.line)
    done = trigger(platform, line, now, actor=actor, force=force)
    if done.batch is None:
        return Launched(done.why, None, None)
    batch_id = done.batch.batch_id
    mine = claim(platform, line, batch_id, "intake", actor=actor)
    return Launched(
        done.why, done.batch, platform.orchestrator.launch(line.line, batch_id, stage="train") if mine else None
    )


def switch(platform: Platform, line: Line, *, on: bool, actor: str) -> tuple[Sensor, ...]:
    """Start or stop every sensor of a line, and tell the ledger if that changed anything; Unavailable without Dagster.

    Runs that are under way go on.
    """
    before = platform.orchestrator.sensors(line.line)
    after = platform.orchestrator.switch(line.line, on=on)
    changed: list[JsonValue] = [new.name for old, new in zip(before, after, strict=True) if old.running != new.running]
    if changed:
        platform.ledger.append(
            "switched", line.line, actor=actor, body={"on": on, "sensors": changed}, key=f"switched:{uuid.uuid4().hex}"
        )
    return after
