"""Release refuses anything but exactly what was judged."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.errors import Corrupt, Stale
from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Decision, Evidence
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle.decide import answer, decide
from mlops_assets.lifecycle.decide.questions import questions
from mlops_assets.lifecycle.deployment.release import release
from mlops_assets.lifecycle.failpoints import VARIABLE
from mlops_assets_tests.lifecycle.chain import YES, judge, open_light_line, run, submit
from mlops_assets_tests.lifecycle.tampering import rewrite, tamper
from mlops_assets_tests.lines import texts, write_rows
from mlops_assets_tests.platform_fixture import copied

Opened = tuple[Platform, Line, str]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a line and a batch that was approved and waits for its release."""
    folder = tmp_path_factory.mktemp("judged")
    platform, line = open_light_line(folder)
    assert judge(platform, line, submit(platform, line, "good")).verdict == "APPROVE"
    return folder


@pytest.fixture
def approved(judged: Path, tmp_path: Path) -> Opened:
    """A copy of it, opened."""
    copied(judged, tmp_path / "site")
    platform, line = open_light_line(tmp_path / "site")
    return platform, line, platform.batches.list(line.line)[0].batch_id


def test_what_was_judged_is_released(approved: Opened) -> None:
    platform, line, batch = approved
    assert release(platform, line, batch).version == 2
    entry = platform.ledger.entries(line.line, "decided")[0].body
    decision = platform.records.get(line.line, batch, "decision")
    assert isinstance(decision, Decision)
    evidence = decision.evidence
    assert entry["policy"] == line.policy.digest == decision.policy_digest
    assert (entry["evidence"], entry["golden"]) == (evidence.digest, evidence.golden)
    assert (entry["candidate"], entry["production"]) == (evidence.candidate, evidence.production)
    assert platform.store.read_bytes(line.policy.digest) == line.policy.canonical_json().encode()


def _better(decision: dict[str, Any]) -> None:
    decision["evidence"]["comparisons"][0]["lower"] += 0.1


def _better_and_consistent(decision: dict[str, Any]) -> None:
    _better(decision)
    decision["evidence_digest"] = Evidence.model_validate(decision["evidence"]).digest


def _other_policy(decision: dict[str, Any]) -> None:
    decision["policy_digest"] = "0" * 64


def _other_decision(decision: dict[str, Any]) -> None:
    decision["decision_id"] = "f" * 24


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_better, "its evidence is"),
        (_better_and_consistent, r"differs from ledger entry \d+: evidence"),
        (_other_policy, "another policy than its evidence"),
        (_other_decision, "has no entry in the ledger"),
    ],
)
def test_a_tampered_record_is_refused(approved: Opened, change: Callable[[dict[str, Any]], None], said: str) -> None:
    platform, _, batch = approved
    rewrite(platform.home, "decision", batch, change)
    _refused(approved, Corrupt, said)


def test_a_rejection_turned_into_an_approval_is_refused(approved: Opened) -> None:
    platform, line, good = approved
    release(platform, line, good)
    wrong = submit(platform, line, "wrong")
    assert judge(platform, line, wrong).verdict == "REJECT"

    def approve(decision: dict[str, Any]) -> None:
        decision["verdict"] = "APPROVE"
        decision["gates"] = []

    rewrite(platform.home, "decision", wrong, approve)
    _refused((platform, line, wrong), Corrupt, r"differs from ledger entry \d+: verdict", versions=2)


def test_an_approval_that_the_rules_do_not_give_is_refused_though_the_ledger_has_it(approved: Opened) -> None:
    platform, line, good = approved
    release(platform, line, good)
    wrong = submit(platform, line, "wrong")
    decision = judge(platform, line, wrong)
    forged = decision.model_copy(update={"verdict": "APPROVE", "gates": (), "decision_id": "f" * 24})
    entry = platform.ledger.entries(line.line, "decided", wrong)[0]
    body = entry.body | {"decision": forged.decision_id, "verdict": "APPROVE"}
    platform.ledger.append("decided", line.line, actor="eve", batch_id=wrong, body=body, key="forged")
    platform.records.put("decision", forged)
    _refused((platform, line, wrong), Corrupt, "its evidence says REJECT", versions=2)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM ledger WHERE kind = 'decided'", "is missing"),
        ("UPDATE ledger SET body = replace(body, 'APPROVE', 'REJECT') WHERE kind = 'decided'", "was changed after"),
        ("UPDATE ledger SET actor = 'eve' WHERE sequence = 1", "Entry 1 .* was changed after"),
    ],
)
def test_nothing_is_released_while_the_ledger_is_broken(approved: Opened, statement: str, said: str) -> None:
    platform, _, _ = approved
    tamper(platform.home, statement)
    _refused(approved, Corrupt, said)


def test_a_changed_policy_is_stale(approved: Opened) -> None:
    platform, line, batch = approved
    policy = line.policy.model_copy(update={"alpha": 0.01})
    _refused((platform, line.model_copy(update={"policy": policy}), batch), Stale, "by policy")


def test_changed_code_is_stale(approved: Opened) -> None:
    platform, line, batch = approved
    _refused((replace(platform, code_version=lambda _: "other"), line, batch), Stale, r"by the code test\.")


def test_a_changed_golden_set_is_stale(approved: Opened) -> None:
    _, line, _ = approved
    write_rows(Path(line.golden.path) / "texts.jsonl", texts(101, 61, users=20))
    _refused(approved, Stale, "other sets than there are now: golden changed")


def test_a_changed_suite_is_stale(approved: Opened) -> None:
    platform, line, batch = approved
    _refused((platform, line.model_copy(update={"suites": ()}), batch), Stale, "critical changed")


def test_a_sealed_set_that_came_later_is_stale(approved: Opened, tmp_path: Path) -> None:
    platform, line, batch = approved
    write_rows(tmp_path / "sealed" / "texts.jsonl", texts(103, 60, users=20))
    sealed = EvaluationSet(path=str(tmp_path / "sealed"), origin="synthetic")
    _refused((platform, line.model_copy(update={"sealed": sealed}), batch), Stale, "sealed changed")


def test_a_swapped_candidate_is_stale(approved: Opened) -> None:
    platform, line, batch = approved
    candidate = platform.records.get(line.line, batch, "candidate_model")
    assert isinstance(candidate, CandidateModel)
    platform.records.put("candidate_model", candidate.model_copy(update={"servable": candidate.parent_model}))
    _refused(approved, Stale, "not the one that was judged")


def test_production_that_moved_while_a_person_thought_is_stale(approved: Opened) -> None:
    platform, line, first = approved
    release(platform, line, first)
    small = submit(platform, line, "small")
    waiting = judge(platform, line, small)
    assert waiting.pending
    answer(platform, waiting.decision_id, YES)
    run(platform, line, other := submit(platform, line, "good", seed=8, items=240))
    moved = platform.versions.pointer(line.line).roles["production"]
    if moved == 2:  # the second good batch is a matter of luck; a third version is not
        version = platform.versions.add(
            line.line,
            servable="0" * 64,
            model="0" * 64,
            batch_id=other,
            decision_id="x",
            parent_version=2,
        )
        platform.versions.move(line.line, platform.versions.pointer(line.line), {"production": version.version})
    with pytest.raises(Stale, match="serves version 3"):
        release(platform, line, small)


def test_a_stale_approval_is_judged_anew(approved: Opened) -> None:
    platform, line, batch = approved
    tighter = line.model_copy(update={"policy": line.policy.model_copy(update={"alpha": 0.04})})
    moved = replace(platform, lines=lambda: [tighter])
    with pytest.raises(Stale):
        release(moved, tighter, batch)
    again = judge(moved, tighter, batch)
    assert again.policy_digest == tighter.policy.digest
    assert release(moved, tighter, batch).decision_id == again.decision_id


def test_an_approval_by_other_code_is_judged_anew(approved: Opened) -> None:
    platform, line, batch = approved
    later = replace(platform, code_version=lambda _: "other")
    with pytest.raises(Stale, match="to judge it anew"):
        release(later, line, batch)
    again = decide(later, line, batch)
    assert again.evidence.code_version.startswith("other.")
    assert release(later, line, batch).decision_id == again.decision_id


def test_a_question_that_other_code_asked_is_put_again_and_not_answered_in_vain(approved: Opened) -> None:
    platform, line, first = approved
    release(platform, line, first)
    small = submit(platform, line, "small")
    waiting = judge(platform, line, small)
    later = replace(platform, code_version=lambda _: "other")
    with pytest.raises(Stale, match=r"The code that judges .* changed since the question was asked"):
        answer(later, waiting.decision_id, YES)
    asked = decide(later, line, small)
    assert (asked.pending, asked.decision_id != waiting.decision_id) == (True, True)
    assert [each.review.decision_id for each in questions(later, line.line)] == [asked.decision_id]
    answer(later, asked.decision_id, YES)
    assert release(later, line, small).decision_id == asked.decision_id


@pytest.mark.parametrize("point", ["release: after version", "release: after pointer", "release: after ledger"])
def test_a_release_that_was_begun_is_finished_though_code_and_policy_moved(approved: Opened, point: str) -> None:
    platform, line, batch = approved
    code = (
        "import sys; from pathlib import Path; from mlops_assets_tests.lifecycle.chain import open_light_line, release;"
        "release(*open_light_line(Path(sys.argv[1])), sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(platform.root), batch]
    assert subprocess.run(command, env={**os.environ, VARIABLE: point}).returncode == -9
    policy = line.policy.model_copy(update={"alpha": 0.01})
    later = replace(platform, code_version=lambda _: "other")
    done = release(later, line.model_copy(update={"policy": policy}), batch)
    assert (done.version, done.status) == (2, "SUCCESS")
    assert len(platform.versions.list(line.line)) == 2
    assert decide(later, line, batch).decision_id == done.decision_id


def _refused(opened: Opened, kind: type[Exception], said: str, versions: int = 1) -> None:
    platform, line, batch = opened
    before = platform.versions.pointer(line.line)
    with pytest.raises(kind, match=said):
        release(platform, line, batch)
    assert platform.versions.pointer(line.line) == before
    assert len(platform.versions.list(line.line)) == versions
