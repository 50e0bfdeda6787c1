"""What a line collects, how each document is answered, and when it is forgotten."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlops_assets.core.events import Prediction
from mlops_assets.core.line import Collection, Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.collection.collecting import collect, collect_file, prepare, retention
from mlops_assets_tests.lines import baseline_line

USED = '{"kind":"usage","command":"generate_chords","success":true}'
RATED = '{"kind":"feedback","rating":5,"event_id":"r1"}'
CORRECTED = '{"kind":"correction","prediction_id":"p1","target":"G7"}'
PREDICTED = Prediction(
    event_id="p1", version=3, arm="production", latency_ms=2.5, success=True, input={"text": "private"}, output="C"
)


def line_with(folder: Path, **collection: object) -> Line:
    return baseline_line(folder).model_copy(update={"collection": Collection.model_validate(collection)})


def test_every_document_is_answered_and_the_good_ones_are_kept(platform: Platform, tmp_path: Path) -> None:
    line = line_with(tmp_path)
    answers = collect(platform, line, [USED, '{"kind":"feedback","rating":6}', RATED.encode(), RATED, PREDICTED])
    assert [each.status for each in answers] == ["stored", "invalid", "stored", "duplicate", "stored"]
    assert answers[1].problem == "rating: Input should be less than or equal to 5"
    assert (answers[3].sequence, answers[3].received_at) == (answers[2].sequence, answers[2].received_at)
    assert platform.events.count(line.line) == {"usage": 1, "feedback": 1, "prediction": 1}
    (other,) = collect(platform, line, [RATED.replace("5", "4")])
    assert (other.status, other.problem) == ("conflict", "another event has this id")


def test_a_line_collects_what_it_wants(platform: Platform, tmp_path: Path) -> None:
    silent = line_with(tmp_path, collect_controller_data=False, collect_feedback=False)
    answers = collect(platform, silent, [USED, RATED, CORRECTED, PREDICTED])
    assert [each.status for each in answers] == ["off", "off", "off", "stored"]
    assert [each.problem.rpartition(".")[2] for each in answers[:2]] == [
        "collect_controller_data)",
        "collect_feedback)",
    ]
    assert collect(platform, silent, [USED])[0].status == "off"
    assert platform.events.count(silent.line) == {"prediction": 1}


def test_payloads_are_kept_only_where_the_line_says_so(platform: Platform, tmp_path: Path) -> None:
    open_ = line_with(tmp_path, keep_payloads=True)
    collect(platform, open_, [PREDICTED])
    collect(platform, line_with(tmp_path), [PREDICTED.model_copy(update={"event_id": "p2"})])
    kept = [each.event for each in platform.events.read(open_.line) if isinstance(each.event, Prediction)]
    assert [(each.event_id, each.input, each.output) for each in kept] == [
        ("p1", {"text": "private"}, "C"),
        ("p2", None, None),
    ]


def test_a_server_may_await_the_receipts(platform: Platform, tmp_path: Path) -> None:
    line = line_with(tmp_path)
    prepared = prepare(line, ["{}", '{"rating":3}'], kind="feedback", now=datetime.now(UTC))
    answers = prepared.answers(platform.events.submit(line.line, prepared.events).result(timeout=30))
    assert [each.status for each in answers] == ["invalid", "stored"]


def test_a_file_may_be_added_again_when_it_has_grown(platform: Platform, tmp_path: Path) -> None:
    line, file = line_with(tmp_path), tmp_path / "events.jsonl"
    file.write_text(f"{USED}\n{USED}\nnonsense\n\n{RATED}\n")
    first = dict(collect_file(platform, line, file))
    assert {where: each.status for where, each in first.items()} == {
        "line 1": "stored",
        "line 2": "stored",
        "line 3": "invalid",
        "line 5": "stored",
    }
    with file.open("a") as more:
        more.write(json.dumps(json.loads(USED)) + "\n")
    again = dict(collect_file(platform, line, file))
    assert [each.status for each in again.values()] == ["duplicate", "duplicate", "invalid", "duplicate", "stored"]
    assert again["line 1"].sequence == first["line 1"].sequence
    assert platform.events.count(line.line) == {"usage": 3, "feedback": 1}


def test_each_line_forgets_after_its_own_days(platform: Platform, tmp_path: Path) -> None:
    short, long = line_with(tmp_path, data_retention_days=7), line_with(tmp_path)
    long = long.model_copy(update={"line": "long"})
    platform = replace(platform, lines=lambda: [short, long])
    for line in (short, long):
        collect(platform, line, [USED, RATED])
    now = datetime.now(UTC)
    assert retention(platform, now + timedelta(days=6)) == 0
    assert retention(platform, now + timedelta(days=8)) == 2
    assert (platform.events.count(short.line), platform.events.count("long")) == ({}, {"usage": 1, "feedback": 1})
    assert retention(platform, now + timedelta(days=91)) == 2
