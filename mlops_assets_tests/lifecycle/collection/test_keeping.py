"""Files that users sent: kept with the prediction, learned from with its correction, and forgotten with it."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from mlops_assets.core.events import Correction, Prediction
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.collection.collecting import retention
from mlops_assets.lifecycle.collection.gathering import MANIFEST, gather
from mlops_assets.lifecycle.collection.keeping import keep, kept_file
from mlops_assets.lifecycle.intake.ingest import raw_batch, stored_copy
from mlops_assets_tests.lifecycle.used import eager, report
from mlops_assets_tests.lines import baseline_line

NOW = datetime.now(UTC)


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A line of pictures."""
    config = {"labels": ["red", "green"]}
    return eager(baseline_line(tmp_path).model_copy(update={"family": "vision", "config": config}))


def predicted(name: str, given: JsonValue) -> Prediction:
    return Prediction(event_id=name, version=1, arm="production", latency_ms=1, success=True, input=given, user="kim")


def test_a_kept_file_is_in_the_batch_with_its_correction(platform: Platform, line: Line) -> None:
    given = keep(platform, line.line, "p1", b"a picture", NOW)
    report(platform, line, [predicted("p1", given), predicted("p2", None), predicted("p3", {"kept": "2026-01-01/p3"})])
    report(platform, line, [Correction(prediction_id=name, target="red") for name in ("p1", "p2", "p3")])
    batch = gather(platform, line, actor="ada")
    assert batch is not None
    folder = stored_copy(platform, raw_batch(platform, line, batch.batch_id))
    (row,) = (json.loads(text) for text in (folder / MANIFEST).read_text().splitlines())
    assert (row["label"], row["source"]) == ("red", "kim")
    assert (folder / row["path"]).read_bytes() == b"a picture"
    (entry,) = platform.ledger.entries(line.line, "gathered")
    assert entry.body["left_out"] == {"its input was not kept": 1, "the file of its input is gone": 1}


@pytest.mark.parametrize("name", ["../../etc/passwd", "2026-11-21/../../x", "/etc/passwd", "2026-11-21/", "", 7, None])
def test_an_event_names_no_file_but_its_line_s_own(platform: Platform, line: Line, name: JsonValue) -> None:
    assert kept_file(platform, line.line, predicted("p", {"kept": name})) is None


def test_files_are_forgotten_when_their_events_are(platform: Platform, line: Line) -> None:
    platform = replace(platform, lines=lambda: [line])
    old = keep(platform, line.line, "old", b"old", NOW - timedelta(days=91))
    new = keep(platform, line.line, "new", b"new", NOW)
    path = kept_file(platform, line.line, predicted("old", old))
    assert path is not None
    os.utime(path, (0, (NOW - timedelta(days=91)).timestamp()))
    retention(platform, NOW)
    assert kept_file(platform, line.line, predicted("old", old)) is None
    assert not path.parent.exists()
    assert kept_file(platform, line.line, predicted("new", new)) is not None
