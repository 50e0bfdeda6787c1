"""Launching a batch once: a claim in the ledger that exactly one of any number of sensors and people wins."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from mlops_assets.core.line import Line
from mlops_assets.core.ports import Platform

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
        recent = datetime.now(UTC) - datetime.fromisoformat(entries[-1].at) < LOST_AFTER
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
