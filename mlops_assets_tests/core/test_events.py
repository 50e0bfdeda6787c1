"""What is an event, and what is refused: the cases of a hostile client."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.events import (
    DEEPEST_PAYLOAD,
    LARGEST_EVENT,
    Feedback,
    Prediction,
    Usage,
    new_event_id,
    parse_event,
    read_event,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PREDICTED = {"kind": "prediction", "version": 1, "arm": "canary", "latency_ms": 1.5, "success": True}


def parse(document: dict[str, Any], **more: Any):
    return parse_event(json.dumps(document), now=NOW, **more)


def test_the_events_of_source_004_are_events():
    used = parse(
        {"type": "generation", "command": "generate_chords", "key": "10B", "bars": 8, "success": True}, kind="usage"
    )
    assert isinstance(used, Usage)
    assert (used.key, used.bars, used.event_id) == ("10B", 8, None)
    agent = parse({"agent": "ControllerDev", "action": "code_analysis", "success": True}, kind="usage")
    assert isinstance(agent, Usage)
    rated = parse({"rating": 5, "type": "chord_progression", "notes": "Great progression!"}, kind="feedback")
    assert isinstance(rated, Feedback)
    assert rated.rating == 5


@pytest.mark.parametrize("rating", [6, 0, -1, 5.5, 5.0, "5", True, None])
def test_a_rating_is_a_whole_number_from_1_to_5(rating: Any):
    with pytest.raises(ValueError, match="rating: "):
        parse({"kind": "feedback", "rating": rating})


@pytest.mark.parametrize(
    "at",
    ["1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-21T12:00:00", "yesterday", 1, ""],
)
def test_a_time_that_cannot_be_is_refused(at: Any):
    with pytest.raises(ValueError, match="at: "):
        parse({"kind": "feedback", "rating": 5, "at": at})


def test_a_time_is_kept_in_utc():
    assert (
        parse({"kind": "feedback", "rating": 5, "at": "2026-11-21T13:30:00.5+02:00"}).at
        == "2026-11-21T11:30:00.500+00:00"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"kind":"feedback","rating":5,"stars":5}', "stars: "),
        ('{"kind":"feedback","rating":5,"rating":1}', "twice"),
        ('{"kind":"feedback"}', "rating: "),
        ('{"rating":5}', "kind"),
        ('{"kind":"rumour"}', "kind"),
        ('{"kind":"usage","success":true}', "needs type"),
        ('{"kind":"usage","type":"a","bars":1e400}', "beyond a float's range"),
        ('{"kind":"usage","type":"a","bars":' + "9" * 5000 + "}", "digits"),
        ('{"kind":"usage","type":"a\\u0000b"}', "type: "),
        ('{"kind":"usage","type":"\\ud800"}', "not UTF-8"),
        ('{"kind":"usage","type":"' + "a" * 201 + '"}', "type: "),
        ('{"kind":"usage","type":"a","event_id":"a b"}', "event_id: "),
        ('{"kind":"feedback","rating":5,"notes":"' + "a" * LARGEST_EVENT + '"}', "bytes"),
        ('{"kind":"prediction","version":1,"arm":"canary","success":true,"latency_ms":NaN}', "NaN"),
        ('{"kind":"prediction","version":1,"arm":"canary","success":true,"latency_ms":1e400}', "beyond a float"),
        ('{"kind":"correction","target":"a"}', "prediction_id: "),
        ("[" * 60_000, "within"),
        ("[]", "object"),
        ("", "value"),
        (b"\xff", "UTF-8"),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(text: str | bytes, reason: str):
    with pytest.raises(ValueError, match=reason):
        parse_event(text, now=NOW)


def test_another_kind_than_was_asked_for_is_refused():
    with pytest.raises(ValueError, match="should be usage"):
        parse({"kind": "feedback", "rating": 5}, kind="usage")


def test_a_payload_may_nest_only_so_deep():
    payload: Any = 1
    for _ in range(DEEPEST_PAYLOAD):
        payload = [payload]
    assert parse(PREDICTED | {"input": payload}) == parse(PREDICTED | {"input": payload})
    with pytest.raises(ValueError, match="within one another"):
        parse(PREDICTED | {"input": {"a": payload}})


payloads = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(payload=payloads, latency=st.floats(0, 1e9), user=st.text(min_size=1, max_size=200))
def test_an_event_that_was_accepted_can_be_read_again(payload: Any, latency: float, user: str):
    document = PREDICTED | {"output": payload, "latency_ms": latency, "user": user}
    try:
        event = parse(document)
    except ValueError:
        assert not user.isprintable()
        return
    assert read_event(event.model_dump_json(exclude_none=True)) == event
    assert isinstance(event, Prediction)
    assert event.output == payload


def test_ids_that_are_made_differ_and_are_ids():
    made = [new_event_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(parse({"kind": "feedback", "rating": 5, "event_id": each}).event_id == each for each in made)


def test_ids_are_never_given_twice_by_threads_or_by_a_forked_process() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = threads.map(lambda _: [new_event_id() for _ in range(2_000)], range(4))
        known = [each for some in made for each in some]
    code = (
        "import os, sys; from mlops_assets.core.events import new_event_id; new_event_id(); sys.stdout.flush();"
        "child = os.fork() == 0; child or os.wait(); print(*(new_event_id() for _ in range(100)), flush=True)"
    )
    forked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert len(forked) == 200
    assert len({name[12:] for name in (*known, *forked)}) == len(known) + len(forked)
