"""Batches change a line in order of arrival, also when Dagster starts them in another.

A backfill starts its partitions in the order of their keys, and a batch's key begins with its digest. What a line
learns must not depend on that: the run that comes too early first does what its forerunners are waiting for. Their own
runs find the records made.
"""

from mlops_assets.components.settling import released, set_aside
from mlops_assets.core.errors import Busy, PlatformError
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Decision
from mlops_assets.lifecycle.decide import decide
from mlops_assets.lifecycle.evaluation.evaluate import evaluate
from mlops_assets.lifecycle.holding import ended
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets.lifecycle.training.train import train


def catch_up(platform: Platform, line: Line, batch_id: str) -> list[str]:
    """Take every batch that came before this one to its end, or to the person it waits for; return those that waited.

    Busy if one of them fails: it is set aside by its own run, and this batch is not to blame.
    """
    waited = []
    for earlier in platform.batches.list(line.line):
        if earlier.batch_id == batch_id:
            break
        if _waits(platform, line, earlier.batch_id):
            try:
                _carry(platform, line, earlier.batch_id)
            except PlatformError as error:
                raise Busy(f"Batch {earlier.batch_id} came first and failed: {error}", "This one follows.") from error
            waited.append(earlier.batch_id)
    return waited


def _waits(platform: Platform, line: Line, batch_id: str) -> bool:
    decision = platform.records.get(line.line, batch_id, "decision")
    pending = isinstance(decision, Decision) and decision.pending
    return not pending and not ended(platform, line, batch_id)


def _carry(platform: Platform, line: Line, batch_id: str) -> None:
    if validate(platform, line, batch_id).accepted:
        train(platform, line, batch_id)
        evaluate(platform, line, batch_id)
        decide(platform, line, batch_id)
        released(platform, line, batch_id)
    set_aside(platform, line, batch_id)
