import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mlops_assets.core.errors import NotFound, Refused, Stale
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import ReviewAnswer
from mlops_assets.lifecycle.decide import answer, decide
from mlops_assets_tests.lifecycle.decide.evaluated import LINE, open_platform, put_evaluated, serve
from mlops_assets_tests.lifecycle.decide.evidences import evidence

SMALL = evidence(kept=8)
BATCH = SMALL.batch_id


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    made = open_platform(tmp_path)
    serve(made, "a" * 64)
    return made


def reply(approve: bool = True, reviewer: str = "bob", reason: str = "heard it") -> ReviewAnswer:
    return ReviewAnswer(approve=approve, reviewer=reviewer, reason=reason, answered_at="2026-01-01T00:00:00+00:00")


def test_clear_gain_is_approved_once(platform: Platform) -> None:
    put_evaluated(platform, evidence())
    decision = decide(platform, LINE, BATCH)
    assert (decision.verdict, decision.pending) == ("APPROVE", False)
    assert decision.path == ("gather", "gates", "statistics", "plan", "conclude")
    assert decide(platform, LINE, BATCH) == decision
    assert len(platform.ledger.entries(LINE.line, "decided")) == 1
    assert platform.reviews.list() == []


def test_failed_gate_never_asks(platform: Platform) -> None:
    put_evaluated(platform, evidence(infra_ok=False, kept=8))
    decision = decide(platform, LINE, BATCH)
    assert (decision.verdict, decision.pending) == ("REJECT", False)
    assert decision.path == ("gather", "gates", "explain", "conclude")
    assert platform.reviews.list() == []
    with pytest.raises(NotFound):
        answer(platform, decision.decision_id, reply())


@pytest.mark.parametrize(("word", "verdict"), [("yes", "APPROVE"), ("no", "REJECT")])
def test_review_outlives_its_process(platform: Platform, tmp_path: Path, word: str, verdict: str) -> None:
    put_evaluated(platform, SMALL)
    waiting = decide(platform, LINE, BATCH)
    assert (waiting.verdict, waiting.pending) == ("HUMAN_REVIEW", True)
    assert waiting.path[-1] == "human"
    assert decide(platform, LINE, BATCH) == waiting
    assert [each.decision_id for each in platform.reviews.list(open_only=True)] == [waiting.decision_id]
    command = [sys.executable, "-m", "mlops_assets_tests.lifecycle.decide.asked"]
    done = subprocess.run(
        [*command, str(tmp_path), waiting.decision_id, "bob", word], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [verdict]
    concluded = decide(platform, LINE, BATCH)
    assert (concluded.verdict, concluded.pending) == (verdict, False)
    assert concluded.decision_id == waiting.decision_id
    assert concluded.path == ("gather", "gates", "statistics", "plan", "explain", "human", "conclude")
    assert concluded.review is not None
    assert platform.ledger.verify() == []


def test_first_answer_wins(platform: Platform) -> None:
    put_evaluated(platform, SMALL)
    known = decide(platform, LINE, BATCH).decision_id
    first = answer(platform, known, reply(approve=False))
    assert answer(platform, known, reply(approve=False)) == first
    with pytest.raises(Refused, match="bob rejected"):
        answer(platform, known, reply(reviewer="cid"))
    assert decide(platform, LINE, BATCH).verdict == "REJECT"


def test_contributor_cannot_review(platform: Platform) -> None:
    put_evaluated(platform, SMALL)
    known = decide(platform, LINE, BATCH).decision_id
    with pytest.raises(Refused, match="contributed"):
        answer(platform, known, reply(reviewer="Ann "))
    assert decide(platform, LINE, BATCH).pending


def test_stale_review_is_refused(platform: Platform) -> None:
    put_evaluated(platform, SMALL)
    known = decide(platform, LINE, BATCH).decision_id
    serve(platform, "b" * 64, "second")
    with pytest.raises(Stale, match="serves version 2"):
        answer(platform, known, reply())
    with pytest.raises(Stale, match="evaluated against another"):
        decide(platform, LINE, BATCH)


def test_checkpoints_are_private_and_name_no_class(platform: Platform) -> None:
    put_evaluated(platform, SMALL)
    decide(platform, LINE, BATCH)
    path = Path(platform.checkpoints_url.removeprefix("sqlite:///"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(sqlite3.connect(path)) as connection:
        blobs = [row[0] for row in connection.execute("SELECT checkpoint FROM checkpoints")]
    assert blobs
    assert not any(b"mlops_assets." in blob for blob in blobs)
