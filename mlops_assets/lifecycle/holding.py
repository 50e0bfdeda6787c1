"""A line is changed by one batch at a time: whoever trains, judges or releases holds the line's lease."""

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version

WAIT_SECONDS = 60.0
DELETION_SECONDS = 600.0  # that a deletion of old versions may take


def hold(
    platform: Platform, line: Line, holder: str, *, wait_seconds: float = WAIT_SECONDS
) -> AbstractContextManager[None]:
    """Hold a line for one verb; Busy names the batch that keeps it."""
    return platform.leases.hold(f"line:{line.line}", holder=holder, wait_seconds=wait_seconds)


def hold_pointer(
    platform: Platform, line: Line, holder: str, *, wait_seconds: float = WAIT_SECONDS
) -> AbstractContextManager[None]:
    """Hold a line's roles alone: a rollback does not wait for a training.

    Each call is a holder of its own: two clicks of one person wait for one another.
    """
    unique = f"{holder} ({uuid.uuid4().hex[:8]})"
    return platform.leases.hold(f"pointer:{line.line}", holder=unique, wait_seconds=wait_seconds)


def hold_decision(platform: Platform, line: Line, batch_id: str, holder: str) -> AbstractContextManager[None]:
    """Hold the decision on one batch alone: a person's answer does not wait for another batch's training."""
    return platform.leases.hold(f"decision:{line.line}:{batch_id}", holder=holder, wait_seconds=WAIT_SECONDS)


def hold_deletion(platform: Platform, holder: str, *, wait_seconds: float) -> AbstractContextManager[None]:
    """Hold the right to delete stored bytes: whoever has it reads what records name first, and deletes then."""
    return platform.leases.hold("deletion", holder=holder, wait_seconds=wait_seconds)


def keep_stored(platform: Platform, digest: str, put: Callable[[], str]) -> None:
    """See to it that what a record names by now is stored, where nobody holds the line: `put` stores it again.

    A deletion that began before the record was written may take equal bytes, which looked stored. It is waited for;
    those that begin later see the record. Busy if it does not end.
    """
    if platform.leases.holder("deletion") is not None:
        with hold_deletion(platform, f"keeping {digest} ({uuid.uuid4().hex[:8]})", wait_seconds=DELETION_SECONDS):
            pass
    if not platform.store.has(digest):
        put()


def production(platform: Platform, line: Line) -> Version | None:
    """Return the version that serves, if there is one."""
    number = platform.versions.pointer(line.line).roles.get("production")
    return None if number is None else platform.versions.get(line.line, number)


def released(platform: Platform, line: Line, batch_id: str) -> Version | None:
    """Return the latest version made of a batch: what was released is not trained or judged again."""
    return next((each for each in reversed(platform.versions.list(line.line)) if each.batch_id == batch_id), None)


def ended(platform: Platform, line: Line, batch_id: str) -> bool:
    """Say whether a batch came to its end, released or set aside: its records then stand as they are."""
    held = platform.records.get(line.line, batch_id, "quarantine")
    return held is not None or released(platform, line, batch_id) is not None
