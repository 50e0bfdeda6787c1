"""What is reported in production becomes a batch, once, whatever dies in between."""

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mlops_assets.core.events import Feedback
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.collection.gathering import MANIFEST, cursor, gather
from mlops_assets.lifecycle.collection.triggering import trigger
from mlops_assets.lifecycle.failpoints import VARIABLE
from mlops_assets.lifecycle.intake.ingest import raw_batch, stored_copy
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings
from mlops_assets_tests.lifecycle.chain import open_light_line
from mlops_assets_tests.lifecycle.used import asked, corrected, eager, report, use
from mlops_assets_tests.lines import baseline_line, texts
from mlops_assets_tests.platform_fixture import make_platform

GATHER = """
import sys
from pathlib import Path
from mlops_assets_tests.lifecycle.chain import open_light_line
from mlops_assets_tests.lifecycle.used import eager
from mlops_assets.lifecycle.collection.gathering import gather
platform, line = open_light_line(Path(sys.argv[1]))
gather(platform, eager(line), actor="ada")
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A platform for lines of many names."""
    return make_platform(tmp_path_factory.mktemp("shared"))


def rows_of(platform: Platform, line: Line, batch_id: str) -> list[dict[str, str]]:
    folder = stored_copy(platform, raw_batch(platform, line, batch_id))
    return [json.loads(text) for text in (folder / MANIFEST).read_text().splitlines()]


def test_a_batch_says_under_which_keys_its_events_were_sent(platform: Platform, tmp_path: Path) -> None:
    line = eager(baseline_line(tmp_path))
    rows = texts(3, 6)
    report(platform, line, [asked(row, f"p{at}") for at, row in enumerate(rows)], sent_by="nobody's business")
    for at, row in enumerate(rows):
        report(platform, line, [corrected(row, f"p{at}", user=f"user{at}")], sent_by=("app", "eve", None)[at % 3])
    batch = gather(platform, line, actor="ada")
    assert batch is not None
    assert raw_batch(platform, line, batch.batch_id).senders == ("app", "eve")


def test_corrections_with_their_inputs_become_a_batch_with_a_source(platform: Platform, tmp_path: Path) -> None:
    line = eager(baseline_line(tmp_path))
    given = use(platform, line, items=9, users=3)
    batch = gather(platform, line, actor="ada")
    assert batch is not None
    assert (batch.source, batch.contributor, batch.filename) == ("events", "3 users", "events-1-18")
    found = rows_of(platform, line, batch.batch_id)
    assert [(row["text"], row["label"]) for row in found] == [(row["text"], row["label"]) for row in given]
    (entry,) = platform.ledger.entries(line.line, "gathered")
    assert (entry.actor, entry.batch_id, entry.body["examples"], entry.body["users"]) == ("ada", batch.batch_id, 9, 3)
    assert "user1" not in entry.canonical_json()
    assert validate(platform, line, batch.batch_id).kept == 9
    assert gather(platform, line, actor="ada") is None


def test_the_last_report_counts_and_what_cannot_be_used_says_why(platform: Platform, tmp_path: Path) -> None:
    line = eager(baseline_line(tmp_path))
    one, two, three = texts(1, 3)
    silent = line.model_copy(update={"collection": line.collection.model_copy(update={"keep_payloads": False})})
    report(platform, silent, [asked(two, "b")])
    report(
        platform,
        line,
        [
            asked(one, "a"),
            corrected(one, "a", target="weather"),
            corrected(one, "a", event_id="again", target="sport", user="eve"),
            corrected(two, "b"),
            corrected(three, "nobody"),
            Feedback(rating=1, prediction_id="a"),
        ],
    )
    batch = gather(platform, line, actor="ada")
    assert batch is not None
    assert rows_of(platform, line, batch.batch_id) == [{"label": "sport", "text": one["text"], "user": "eve"}]
    assert batch.contributor == "eve"
    (entry,) = platform.ledger.entries(line.line, "gathered")
    assert entry.body["left_out"] == {
        "a later report about the same answer counts": 1,
        "its input was not kept": 1,
        "its prediction is not known": 1,
    }


def test_postgres_gathers_the_same_batch_as_sqlite(platform: Platform, tmp_path: Path, postgres_url: str) -> None:
    line = eager(baseline_line(tmp_path))
    settings = Settings(root=tmp_path, home=tmp_path / "other", database_url=postgres_url)
    digests = []
    for each in (platform, open_platform(settings)):
        use(each, line, items=30)
        done = trigger(each, line, datetime.now(UTC), actor="ada")
        assert done.batch is not None
        digests.append(done.batch.sha256)
        assert cursor(each, line) == each.events.last(line.line) == 60
    assert len(set(digests)) == 1


def test_nothing_to_learn_from_is_no_batch_and_is_looked_at_again(platform: Platform, tmp_path: Path) -> None:
    line = eager(baseline_line(tmp_path))
    (row,) = texts(1, 1)
    report(platform, line, [corrected(row, "late")])
    assert gather(platform, line, actor="ada") is None
    report(platform, line, [asked(row, "late")])
    assert gather(platform, line, actor="ada") is not None


@pytest.mark.parametrize(
    "point", ["gather: before batch", "ingest: before claim", "ingest: before record", "gather: before cursor"]
)
def test_a_gathering_that_dies_is_the_same_batch_afterwards(point: str, tmp_path: Path) -> None:
    platform, line = open_light_line(tmp_path)
    line = eager(line)
    first = use(platform, line, seed=1, items=30)
    died = subprocess.run([sys.executable, "-c", GATHER, str(tmp_path)], env=os.environ | {VARIABLE: point})
    assert died.returncode == -9
    later = use(platform, line, seed=2, items=12)
    batch = gather(platform, line, actor="bob")
    assert batch is not None
    assert [row["text"] for row in rows_of(platform, line, batch.batch_id)] == [row["text"] for row in first]
    assert [each.batch_id for each in platform.batches.list(line.line)] == [batch.batch_id]
    following = gather(platform, line, actor="bob")
    assert following is not None
    assert [row["text"] for row in rows_of(platform, line, following.batch_id)] == [row["text"] for row in later]
    assert [each.actor for each in platform.ledger.entries(line.line, "gathered")] == ["ada", "bob"]


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=1, max_size=12))
def test_every_correction_is_learned_once_however_gatherings_fall(
    steps: list[int | None], tmp_path_factory: pytest.TempPathFactory, shared: Platform
) -> None:
    """None gathers; a number corrects as many texts."""
    line = eager(baseline_line(tmp_path_factory.mktemp("line"), name=f"line{len(shared.ledger.entries())}"))
    given, learned = [], []
    rows = iter(texts(7, 60))
    for step in (*steps, None):
        if step is None:
            batch = gather(shared, line, actor="ada")
            learned += [] if batch is None else [row["text"] for row in rows_of(shared, line, batch.batch_id)]
            continue
        some = [next(rows) for _ in range(step)]
        names = [f"{line.line}-{len(given) + at}" for at in range(step)]
        report(shared, line, [asked(row, name) for row, name in zip(some, names, strict=True)])
        report(shared, line, [corrected(row, name) for row, name in zip(some, names, strict=True)])
        given += [row["text"] for row in some]
    assert Counter(learned) == Counter(given)
    assert cursor(shared, line) == (shared.events.last(line.line) if given else 0)
