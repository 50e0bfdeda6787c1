"""How often one caller may ask, and one address be wrong."""

import math
import time

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter


class Rates:
    """Windows of one second for a key and of one minute for an address; what is too much is told by a wait in seconds.

    Fixed windows cost 3 us a request, the moving ones of `limits` 15: the difference is that twice the rate may pass
    around the turn of a second, which hurts nobody.
    """

    def __init__(self, requests_per_second: float, failed_keys_per_minute: int) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerSecond(max(1, math.ceil(requests_per_second)))
        self._failures = RateLimitItemPerMinute(failed_keys_per_minute)

    def ask(self, name: str) -> int:
        """Count a request of a key; return 0, or the seconds after which it may ask again."""
        return self._hit(self._requests, name)

    def fail(self, address: str) -> int:
        """Count a wrong key of an address; return 0, or the seconds after which its next one is looked at."""
        return self._hit(self._failures, address)

    def _hit(self, item: RateLimitItem, who: str) -> int:
        if self._limiter.hit(item, who):
            return 0
        ends = self._limiter.get_window_stats(item, who).reset_time
        return max(1, math.ceil(ends - time.time()))
