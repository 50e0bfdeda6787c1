"""The time, and how it is written: UTC, ISO 8601, milliseconds; such texts sort as the times do."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def utc_text(time: datetime) -> str:
    """Return an aware time as it is stored."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")


def utc(text: str) -> str:
    """Return a time that somebody wrote as it is stored.

    Raises ValueError if it is no time, has no offset, or is before 2000 or after 2099.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("no ISO 8601 time") from None
    if moment.tzinfo is None:
        raise ValueError("no offset from UTC, such as Z or +02:00")
    if moment < EARLIEST or moment.year >= 2100:
        raise ValueError("before 2000 or after 2099")
    return utc_text(moment)
