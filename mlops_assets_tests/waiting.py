"""Waiting in tests: for a condition, with a deadline, never for a time."""

import time
from collections.abc import Callable


def wait_until(holds: Callable[[], object], *, seconds: float = 30) -> None:
    """Return as soon as a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
