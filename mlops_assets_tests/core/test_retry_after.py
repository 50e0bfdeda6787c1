from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.retry_after import retry_after

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)


@given(seconds=st.integers(0, 10**7), at=st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)))
def test_seconds_and_dates_name_the_same_wait(seconds: int, at: datetime) -> None:
    now = at.replace(tzinfo=UTC, microsecond=0)
    date = {"Date": format_datetime(now, usegmt=True)}
    until = format_datetime(now + timedelta(seconds=seconds), usegmt=True)
    assert retry_after({"Retry-After": str(seconds)}) == seconds
    assert retry_after({"Retry-After": until} | date) == seconds


def test_a_date_that_is_past_is_no_wait_and_one_without_the_servers_time_is_measured_by_ours() -> None:
    assert retry_after({"Retry-After": "Sat, 21 Nov 2026 19:59:00 GMT", "Date": format_datetime(NOW)}) == 0
    until = datetime.now(UTC) + timedelta(hours=1)
    assert retry_after({"Retry-After": format_datetime(until)}) == pytest.approx(3600, abs=60)


@given(st.text() | st.sampled_from(["", "soon", "-5", "1.5", "\u0663", "Sat, 99 Nov 2026 20:00:00 GMT", "1 2 3 4 5"]))
def test_what_cannot_be_read_names_nothing_and_breaks_nothing(text: str) -> None:
    found = retry_after({"Retry-After": text})
    assert found is None or found >= 0


def test_no_header_is_no_wait() -> None:
    assert retry_after({}) is None
