"""When a server wants to be asked again: HTTP's `Retry-After`, seconds or a date (RFC 9110, 10.2.3)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mlops_assets.core.clock import utc_now


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds (>= 0) that an answer names, None if it names none that can be read.

    A date is measured from the answer's own `Date`, so that it does not matter how well two clocks agree; where that
    is missing, from this machine's time. `headers` finds names whatever their case.
    """
    named = headers.get("Retry-After", "").strip()
    if named.isascii() and named.isdigit():
        return float(named)
    until = _date(named)
    if until is None:
        return None
    return max((until - (_date(headers.get("Date", "")) or utc_now())).total_seconds(), 0.0)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
