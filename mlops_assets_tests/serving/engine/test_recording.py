"""What was predicted is stored, late if it must be, and what is lost is counted."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.errors import Unavailable
from mlops_assets.core.events import Event, Prediction, Receipt, new_event_id
from mlops_assets.core.line import Collection, Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.serving.engine.recording import Recorder, Seen
from mlops_assets_tests.lines import baseline_line
from mlops_assets_tests.serving.versions import SECONDS


class Away:
    """Events whose database comes back when it is told so."""

    def __init__(self, platform: Platform) -> None:
        self._events = platform.events
        self.back = threading.Event()
        self.asked = threading.Event()

    def submit(self, line: str, events: Sequence[Event]) -> "Future[tuple[Receipt, ...]]":
        if not self.back.is_set():
            raise Unavailable("The database is away.")
        return self._events.submit(line, events)

    def append(self, line: str, events: Sequence[Event]) -> tuple[Receipt, ...]:
        self.asked.set()
        if not self.back.is_set():
            raise Unavailable("The database is away.")
        return self._events.append(line, events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._events, name)


def seen(line: Line, **changes: Any) -> Seen:
    seen = Seen(line, new_event_id(), version=1, arm="production", latency_ms=1.5, shown="sport")
    return seen._replace(**changes)


def stored(platform: Platform, line: Line) -> list[Prediction]:
    found = [each.event for each in platform.events.read(line.line, kind="prediction")]
    return [event for event in found if isinstance(event, Prediction)]


def wait_for(holds: Any) -> None:
    ends = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_while_the_database_is_away_predictions_are_kept_and_what_is_lost_is_counted(
    platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line, away = baseline_line(tmp_path), Away(platform)
    recorder = Recorder(replace(platform, events=away), most_waiting=10)
    recorder.start()
    for _ in range(15):
        recorder.add(seen(line))
    assert away.asked.wait(SECONDS)
    wait_for(lambda: "away" in recorder.problem)
    assert (recorder.waiting, recorder.lost) == (10, 5)
    away.back.set()
    wait_for(lambda: recorder.waiting == 0)
    recorder.stop()
    assert (recorder.problem, recorder.lost) == ("", 5)
    assert len(stored(platform, line)) == 10
    assert len([each for each in caplog.records if "cannot be recorded" in each.message]) == 1


def test_a_gateway_that_ends_says_what_it_could_not_record(
    platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(replace(platform, events=Away(platform)))
    recorder.start()
    recorder.add(seen(baseline_line(tmp_path)))
    recorder.stop()
    assert recorder.lost == 1
    assert "1 predictions were not recorded" in caplog.text


def test_what_waits_is_stored_when_the_gateway_ends(platform: Platform, tmp_path: Path) -> None:
    line, other = baseline_line(tmp_path), baseline_line(tmp_path, name="others")
    recorder = Recorder(platform)
    recorder.start()
    for _ in range(2_500):
        recorder.add(seen(line))
    recorder.add(seen(other))
    recorder.stop()
    assert platform.events.count(line.line) == {"prediction": 2_500}
    assert platform.events.count(other.line) == {"prediction": 1}


@pytest.mark.parametrize("keep", [False, True])
def test_payloads_are_kept_only_where_the_line_says_so(platform: Platform, tmp_path: Path, keep: bool) -> None:
    line = baseline_line(tmp_path, collection=Collection(keep_payloads=keep))
    recorder = Recorder(platform)
    recorder.start()
    recorder.add(seen(line, input="a text", output={"label": "sport"}))
    recorder.stop()
    (event,) = stored(platform, line)
    assert (event.input, event.output) == (("a text", {"label": "sport"}) if keep else (None, None))


def test_a_payload_that_no_event_may_hold_costs_the_payload_alone(platform: Platform, tmp_path: Path) -> None:
    line = baseline_line(tmp_path, collection=Collection(keep_payloads=True))
    deep: Any = "a"
    for _ in range(50):
        deep = [deep]
    recorder = Recorder(platform)
    recorder.start()
    recorder.add(seen(line, input=deep))
    recorder.stop()
    (event,) = stored(platform, line)
    assert (event.input, event.version, event.success) == (None, 1, True)
