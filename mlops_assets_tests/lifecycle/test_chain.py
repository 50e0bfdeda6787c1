import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.core.errors import Refused, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle import status
from mlops_assets.lifecycle.decide import answer, decide
from mlops_assets.lifecycle.deployment.release import reconcile, release
from mlops_assets.lifecycle.deployment.rollout import rollback
from mlops_assets.lifecycle.evaluation.evaluate import evaluate
from mlops_assets.lifecycle.failpoints import VARIABLE
from mlops_assets.lifecycle.intake.ingest import ingest
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets.lifecycle.quarantine import discard, quarantine, readmit
from mlops_assets.lifecycle.training.train import train
from mlops_assets_tests.lifecycle.chain import YES, judge, open_light_line, open_line, run, submit
from mlops_assets_tests.lines import good_batch
from mlops_assets_tests.platform_fixture import copied

APPROVED = (
    "bootstrap: after version",
    "bootstrap: after ledger",
    "bootstrap: after pointer",
    "train: before record",
    "train: after record",
    "evaluate: before record",
    "evaluate: after record",
    "decide: before record",
    "decide: after record",
    "release: after version",
    "release: after ledger",
    "release: after pointer",
    "release: after registry",
    "release: after roles",
    "release: after serving",
    "release: after card",
    "release: after record",
)
REJECTED = ("quarantine: after bundle", "quarantine: after ledger", "quarantine: after record")


@pytest.fixture
def opened(tmp_path: Path) -> tuple[Platform, Line]:
    return open_light_line(tmp_path)


def test_good_wrong_and_small(opened: tuple[Platform, Line]) -> None:
    platform, line = opened
    good = submit(platform, line, "good")
    assert run(platform, line, good).verdict == "APPROVE"
    shown = status.show(platform, line, good)
    assert (shown["status"], shown["deployment_status"], shown["version"]) == ("DEPLOYED", "SUCCESS", 2)
    assert shown["metrics"]["accuracy"]["lower"] > 0
    assert "critical/accuracy" in shown["metrics"]
    live = platform.serving.live(line.line)
    assert live is not None

    wrong = submit(platform, line, "wrong")
    assert run(platform, line, wrong).verdict == "REJECT"
    shown = status.show(platform, line, wrong)
    assert (shown["status"], shown["deployment_status"]) == ("QUARANTINED", "FAILED_EVALUATION")
    bundle = Path(shown["quarantine_path"])
    assert {each.name for each in bundle.iterdir()} >= {
        "submission",
        "records",
        "candidate",
        "report.html",
        "decision.html",
        "README.txt",
    }
    assert platform.serving.live(line.line) == live

    small = submit(platform, line, "small")
    waiting = run(platform, line, small)
    assert waiting.pending
    assert status.show(platform, line, small)["deployment_status"] == "PENDING_REVIEW"
    answer(platform, waiting.decision_id, YES)
    assert run(platform, line, small).verdict == "APPROVE"
    moved = platform.serving.live(line.line)
    assert moved is not None
    assert moved.production.servable != live.production.servable

    rollback(platform, line, to=None, reason="a complaint", actor="bob")
    back = platform.serving.live(line.line)
    assert back is not None
    assert back.production.servable == live.production.servable
    assert status.show(platform, line, small)["status"] == "ROLLED_BACK"
    assert platform.ledger.verify() == []
    roles = {each["version"]: each["roles"] for each in status.versions(platform, line)}
    assert roles == {1: [], 2: ["production"], 3: ["previous"]}


def test_broken_data_is_not_trained_on(opened: tuple[Platform, Line]) -> None:
    platform, line = opened
    broken = submit(platform, line, "broken")
    assert not validate(platform, line, broken).accepted
    with pytest.raises(Refused, match="was not accepted"):
        train(platform, line, broken)
    shown = status.show(platform, line, broken)
    assert (shown["verdict"], shown["deployment_status"]) == (None, "ERROR")


def test_equal_inputs_give_the_stored_records(opened: tuple[Platform, Line]) -> None:
    platform, line = opened
    batch = submit(platform, line, "good")
    decision = judge(platform, line, batch)
    made = train(platform, line, batch), evaluate(platform, line, batch)
    deployed = release(platform, line, batch)
    assert (train(platform, line, batch), evaluate(platform, line, batch)) == made
    assert decide(platform, line, batch) == decision
    assert release(platform, line, batch) == deployed
    assert len(platform.records.history(line.line, batch, "candidate_model")) == 1


def test_stale_approval_is_refused(opened: tuple[Platform, Line]) -> None:
    platform, line = opened
    first, second = submit(platform, line, "good"), submit(platform, line, "good", seed=8, items=240)
    assert judge(platform, line, first).verdict == judge(platform, line, second).verdict == "APPROVE"
    release(platform, line, second)
    with pytest.raises(Stale, match="serves version 2"):
        release(platform, line, first)
    assert len(status.versions(platform, line)) == 2


def test_rollback_refuses_what_is_not_there(opened: tuple[Platform, Line]) -> None:
    platform, line = opened
    with pytest.raises(Refused, match="no previous version"):
        rollback(platform, line, to=None, reason="x", actor="bob")
    run(platform, line, submit(platform, line, "good"))
    with pytest.raises(Refused, match="already"):
        rollback(platform, line, to=2, reason="x", actor="bob")


def test_readmitted_batch_is_a_new_one_that_names_the_old(opened: tuple[Platform, Line]) -> None:
    platform, line = opened
    old = submit(platform, line, "good")
    quarantine(platform, line, old, reason_code="X", reason="by mistake", deployment_status="ERROR", logs=None)
    new = readmit(platform, line, old, "bob", "the labels are right")
    assert new.batch_id != old
    assert new.source == f"release:{old}"
    assert status.show(platform, line, old)["status"] == "RELEASED"
    assert validate(platform, line, new.batch_id).accepted
    with pytest.raises(Refused, match="admitted again"):
        discard(platform, line, old, "bob", "changed my mind")


def test_readmitted_zip_is_unpacked(opened: tuple[Platform, Line], tmp_path: Path) -> None:
    platform, line = opened
    packed = shutil.make_archive(str(tmp_path / "upload"), "zip", good_batch(tmp_path / "good"))
    old, _ = ingest(platform, line, Path(packed), contributor="ann", source="cli")
    quarantine(platform, line, old.batch_id, reason_code="X", reason="x", deployment_status="ERROR", logs=None)
    new = readmit(platform, line, old.batch_id, "bob", "a mistake")
    assert validate(platform, line, new.batch_id).kept == validate(platform, line, old.batch_id).kept > 0


def test_discarded_bundle_is_gone_and_its_history_stays(opened: tuple[Platform, Line]) -> None:
    platform, line = opened
    old = submit(platform, line, "good")
    held = quarantine(platform, line, old, reason_code="X", reason="bad", deployment_status="ERROR", logs=None)
    assert json.loads((platform.home / held.path / "records" / "raw_batch.json").read_text())["batch_id"] == old
    discard(platform, line, old, "bob", "useless")
    assert not (platform.home / held.path).exists()
    assert status.show(platform, line, old)["status"] == "DISCARDED"
    with pytest.raises(Refused, match="discarded"):
        readmit(platform, line, old, "bob", "why not")


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("killed")
    platform, line = open_line(folder)
    return folder, submit(platform, line, "good")


def test_killed_at_every_point_in_turn_it_ends_once(submitted: tuple[Path, str], tmp_path: Path) -> None:
    template, batch = submitted
    folder = tmp_path / "line"
    copied(template, folder)
    for point in APPROVED:
        assert _run(folder, batch, point) == -9, point
    assert _run(folder, batch) == 0
    _ended_once(folder, batch)


@pytest.mark.slow
@pytest.mark.parametrize("point", APPROVED)
def test_killed_at_one_point_the_same_command_ends_it_once(
    submitted: tuple[Path, str], tmp_path: Path, point: str
) -> None:
    template, batch = submitted
    folder = tmp_path / "line"
    copied(template, folder)
    assert _run(folder, batch, point) == -9
    assert _run(folder, batch) == 0
    _ended_once(folder, batch)


def _ended_once(folder: Path, batch: str) -> None:
    platform, line = open_line(folder)
    assert status.show(platform, line, batch)["status"] == "DEPLOYED"
    assert [each["roles"] for each in status.versions(platform, line)] == [["previous"], ["production"]]
    kinds = [entry.kind for entry in platform.ledger.entries(line.line)]
    for kind in ("bootstrapped", "trained", "looked", "decided", "released"):
        assert kinds.count(kind) == 1, kind
    assert platform.ledger.verify() == []
    live = platform.serving.live(line.line)
    assert live is not None
    assert live.production.version == 2


def test_killed_at_every_point_of_quarantine_it_is_set_aside_once(opened: tuple[Platform, Line]) -> None:
    platform, line = opened
    run(platform, line, submit(platform, line, "good"))
    wrong = submit(platform, line, "wrong")
    for point in REJECTED:
        assert _run(platform.root, wrong, point) == -9, point
    assert _run(platform.root, wrong) == 0
    assert status.show(platform, line, wrong)["status"] == "QUARANTINED"
    assert len(platform.ledger.entries(line.line, "quarantined")) == 1
    assert len(list((platform.home / "quarantine" / line.line).iterdir())) == 1


@pytest.mark.parametrize("point", ["rollback: after ledger", "rollback: after pointer"])
def test_killed_rollback_is_finished_not_undone(opened: tuple[Platform, Line], point: str) -> None:
    platform, line = opened
    run(platform, line, submit(platform, line, "good"))
    code = (
        "import sys; from pathlib import Path; from mlops_assets_tests.lifecycle.chain import open_line;"
        "from mlops_assets.lifecycle.deployment.rollout import rollback; p, l = open_line(Path(sys.argv[1]));"
        "rollback(p, l, to=None, reason='x', actor='bob')"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(platform.root)], env={**os.environ, VARIABLE: point})
    assert killed.returncode == -9
    assert rollback(platform, line, to=None, reason="x", actor="bob").roles["production"] == 1
    live = platform.serving.live(line.line)
    assert live is not None
    assert live.production.version == 1
    assert len(platform.ledger.entries(line.line, "rolled_back")) == 1
    reconcile(platform)


def _run(folder: Path, batch: str, point: str = "") -> int:
    command = [sys.executable, "-m", "mlops_assets_tests.lifecycle.chain", str(folder), batch]
    return subprocess.run(command, env={**os.environ, VARIABLE: point}).returncode
