"""How often one caller may ask, and one address be wrong.

The package `limits` keeps its counts in order by a thread that it starts every 10 ms while requests come, for which the
event loop waits: a seventh of a request's time. All that is needed of it is a count.
"""

import math
import time

MOST_NAMES = 10_000  # that are counted each on their own; whoever else comes shares one count


class Window:
    """Counts what each name does, from the beginning of a window of so many seconds, which is the same for all.

    Twice the limit may pass around the turn of a window, which hurts nobody.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._ends = 0.0
        self._counts: dict[str, int] = {}

    def count(self, name: str) -> int:
        """Count one more; return 0, or the seconds after which the next may come if that was too many."""
        now = time.monotonic()
        if now >= self._ends:
            self._counts.clear()
            self._ends = now + self._seconds
        if name not in self._counts and len(self._counts) >= MOST_NAMES:
            name = ""
        count = self._counts[name] = self._counts.get(name, 0) + 1
        return 0 if count <= self._most else max(1, math.ceil(self._ends - now))


class Rates:
    """A second for each key and a minute for each address; what is too much is told by a wait in seconds."""

    def __init__(self, requests_per_second: float, failed_keys_per_minute: int) -> None:
        self._requests = Window(max(1, math.ceil(requests_per_second)), seconds=1)
        self._failures = Window(failed_keys_per_minute, seconds=60)

    def ask(self, name: str) -> int:
        """Count a request of a key; return 0, or the seconds after which it may ask again."""
        return self._requests.count(name)

    def fail(self, address: str) -> int:
        """Count a wrong key of an address; return 0, or the seconds after which its next one is looked at."""
        return self._failures.count(address)
