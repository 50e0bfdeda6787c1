import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.adapters.database.engine import Database
from mlops_assets.core.errors import Refused
from mlops_assets.core.line import Line
from mlops_assets.core.policy import Human
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Decision, ReviewAnswer
from mlops_assets.lifecycle.decide import answer, decide
from mlops_assets.lifecycle.decide.questions import questions, reminders
from mlops_assets.lifecycle.reminding import Reminded, remind
from mlops_assets_tests.lifecycle.decide.evaluated import put_evaluated, serve
from mlops_assets_tests.lifecycle.decide.evidences import evidence
from mlops_assets_tests.lifecycle.reminded import expiring

DAY = timedelta(days=1)
YES = ReviewAnswer(approve=True, reviewer="bob", reason="heard it", answered_at="2026-01-01T00:00:00+00:00")


def opened(folder: Path, human: Human) -> tuple[Platform, Line, Decision]:
    """A platform with one question that waits."""
    platform, line = expiring(folder, human)
    serve(platform, "a" * 64)
    found = evidence(line.policy, kept=8)
    put_evaluated(platform, found)
    return platform, line, decide(platform, line, found.batch_id)


def asked_at(decision: Decision) -> datetime:
    return datetime.fromisoformat(decision.decided_at)


def alerts(platform: Platform) -> list[str]:
    """The keys of all alerts, from the outbox as it is on the disk."""
    with Database(f"sqlite:///{platform.home}/platform.db").read() as connection:
        rows = connection.exec_driver_sql("SELECT key FROM outbox WHERE kind = 'alert' ORDER BY id")
        return [row.key.removeprefix("alert/").removesuffix("/log") for row in rows]


def test_a_reminder_is_sent_once_for_each_interval(tmp_path: Path) -> None:
    platform, line, decision = opened(tmp_path, Human(remind_hours=24))
    asked, known = asked_at(decision), decision.decision_id
    assert remind(platform, asked + timedelta(hours=23)) == Reminded()
    assert [each.decision_id for each in remind(platform, asked + 1.01 * DAY).reminded] == [known]
    assert remind(platform, asked + 1.5 * DAY) == Reminded()
    assert remind(platform, asked + 5.5 * DAY).reminded
    assert alerts(platform) == [f"review:{known}", f"review:{known}:reminder:1", f"review:{known}:reminder:5"]
    assert reminders(platform, platform.reviews.get(known)) == 2
    assert len(platform.ledger.entries(line.line, "reminded")) == 2
    assert decide(platform, line, decision.batch_id).pending
    assert platform.ledger.verify() == []


def test_without_a_limit_a_question_waits_for_ever(tmp_path: Path) -> None:
    platform, _, decision = opened(tmp_path, Human(expire_hours=None))
    assert remind(platform, asked_at(decision) + 10_000 * DAY).expired == ()
    assert questions(platform)[0].open


@pytest.mark.parametrize("moved", [False, True])
def test_a_question_that_nobody_answers_becomes_a_rejection_by_the_policy(tmp_path: Path, moved: bool) -> None:
    platform, line, decision = opened(tmp_path, Human(expire_hours=72))
    if moved:
        serve(platform, "b" * 64, "second")
    late = asked_at(decision) + 3 * DAY
    assert remind(platform, late - timedelta(seconds=1)).expired == ()
    assert [each.decision_id for each in remind(platform, late).expired] == [decision.decision_id]
    assert remind(platform, late + DAY) == Reminded()
    settled = platform.records.get(line.line, decision.batch_id, "decision")
    assert isinstance(settled, Decision)
    assert (settled.verdict, settled.pending) == ("REJECT", False)
    assert settled.review is not None
    assert (settled.review.reviewer, settled.review.reason) == (
        "policy",
        "Nobody answered within 72 hours, the policy's limit.",
    )
    (entry,) = platform.ledger.entries(line.line, "expired")
    assert entry.body["decision"] == decision.decision_id
    assert questions(platform) == []
    with pytest.raises(Refused, match="policy rejected"):
        answer(platform, decision.decision_id, YES)


def test_it_waits_across_restarts_and_expires_in_another_process_seven_days_later(tmp_path: Path) -> None:
    platform, line, decision = opened(tmp_path, Human(expire_hours=7 * 24))
    command = [sys.executable, "-m", "mlops_assets_tests.lifecycle.reminded", str(tmp_path), "168"]

    def look(days: float) -> str:
        now = (asked_at(decision) + days * DAY).isoformat()
        return subprocess.run([*command, now], capture_output=True, text=True, check=True).stdout.strip()

    assert look(6.9) == "1 reminded, 0 expired"
    assert look(7) == "0 reminded, 1 expired"
    assert look(7) == "0 reminded, 0 expired"
    settled = platform.records.get(line.line, decision.batch_id, "decision")
    assert isinstance(settled, Decision)
    assert settled.verdict == "REJECT"
    assert platform.ledger.verify() == []


def test_a_contributor_of_the_policys_name_does_not_keep_a_question_open(tmp_path: Path) -> None:
    platform, line = expiring(tmp_path, Human(expire_hours=1))
    serve(platform, "a" * 64)
    found = evidence(line.policy, kept=8, contributor="policy")
    put_evaluated(platform, found)
    asked = decide(platform, line, found.batch_id)
    assert len(remind(platform, asked_at(asked) + DAY).expired) == 1


def test_an_answer_that_a_crash_cut_off_is_concluded(tmp_path: Path) -> None:
    platform, line, decision = opened(tmp_path, Human(expire_hours=1))
    platform.reviews.answer(decision.decision_id, YES)
    assert remind(platform, asked_at(decision) + DAY) == Reminded()
    settled = platform.records.get(line.line, decision.batch_id, "decision")
    assert isinstance(settled, Decision)
    assert (settled.verdict, settled.review) == ("APPROVE", YES)


def test_an_expiry_that_a_crash_cut_off_is_finished_and_entered(tmp_path: Path) -> None:
    platform, line, decision = opened(tmp_path, Human(expire_hours=1))
    given = YES.model_copy(update={"approve": False, "reviewer": "policy", "reason": "Nobody answered."})
    platform.reviews.answer(decision.decision_id, given)
    remind(platform, asked_at(decision) + DAY)
    assert len(platform.ledger.entries(line.line, "expired")) == 1
    assert questions(platform) == []
    settled = platform.records.get(line.line, decision.batch_id, "decision")
    assert isinstance(settled, Decision)
    assert settled.verdict == "REJECT"


def test_under_another_policy_a_question_does_not_expire_and_people_are_told_why(tmp_path: Path) -> None:
    platform, line, decision = opened(tmp_path, Human(expire_hours=48))
    changed = line.model_copy(update={"policy": line.policy.model_copy(update={"looks_budget": 7})})
    elsewhere = replace(platform, lines=lambda: [changed])
    told = remind(elsewhere, asked_at(decision) + 3 * DAY)
    assert (len(told.reminded), told.expired) == (1, ())
    assert "The policy of speech changed" in alert_texts(platform)[-1]


def test_a_reminder_says_when_it_expires_and_how_to_answer(tmp_path: Path) -> None:
    platform, _, decision = opened(tmp_path, Human(expire_hours=72))
    remind(platform, asked_at(decision) + 2 * DAY)
    text = alert_texts(platform)[-1]
    assert decision.analysis is not None
    assert decision.analysis.paragraph in text
    assert f"mlops reviews approve {decision.decision_id[:12]}" in text
    assert "Without an answer it is rejected in 24.0 hours." in text


def alert_texts(platform: Platform) -> list[str]:
    with Database(f"sqlite:///{platform.home}/platform.db").read() as connection:
        rows = connection.exec_driver_sql("SELECT payload FROM outbox WHERE kind = 'alert' ORDER BY id")
        return [row.payload for row in rows]
