"""An approved batch reaches users by its line's strategy; its status follows the rollout to its end."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mlops_assets.core.errors import Busy, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.policy import Policy
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.outcome import DeployedVersion
from mlops_assets.lifecycle import auditing, status
from mlops_assets.lifecycle.decide import answer
from mlops_assets.lifecycle.deployment import serving_history
from mlops_assets.lifecycle.deployment.release import reconcile, release
from mlops_assets.lifecycle.deployment.rollout import advance, deploy, promote, rollback
from mlops_assets.lifecycle.failpoints import VARIABLE
from mlops_assets.lifecycle.rebasing import rebaseline
from mlops_assets_tests.lifecycle.chain import YES, judge, run, submit
from mlops_assets_tests.lifecycle.released import live, opened, shares


def ends(platform: Platform, line: Line, batch: str) -> tuple[str, str | None]:
    return status.status(platform, line, batch), status.deployment_status(platform, line, batch)


def record(platform: Platform, line: Line, batch: str) -> DeployedVersion:
    made = platform.records.get(line.line, batch, "deployed_version")
    assert isinstance(made, DeployedVersion)
    return made


def test_a_canary_is_neither_production_nor_done_until_it_is_promoted(tmp_path: Path) -> None:
    platform, line = opened(tmp_path, deployment_strategy="canary")
    batch = submit(platform, line, "good")
    run(platform, line, batch)
    assert ends(platform, line, batch) == ("CANARY", "CANARY")
    assert record(platform, line, batch).status == "CANARY"
    assert shares(platform, line) == {"production": (1, 0.9), "canary": (2, 0.1)}
    assert release(platform, line, batch).status == "CANARY", "again, it changes nothing"
    other = submit(platform, line, "good", seed=8, items=240)
    assert judge(platform, line, other).verdict == "APPROVE"
    with pytest.raises(Busy, match="Version 2 of topics is being rolled out"):
        release(platform, line, other)
    with pytest.raises(Busy, match="Version 2 of topics is being rolled out"):
        rebaseline(platform, line, reason="x", actor="eve")
    assert len(platform.versions.list(line.line)) == 2, "what is refused gets no number"
    promote(platform, line, actor="ann", reason="it did well")
    assert ends(platform, line, batch) == ("DEPLOYED", "SUCCESS")
    assert record(platform, line, batch).status == "SUCCESS"
    with pytest.raises(Stale):
        release(platform, line, other)
    assert auditing.disagreements(platform) == platform.ledger.verify() == []
    told = serving_history.history(platform, line)
    assert [(each.event, [(arm.version, arm.share) for arm in each.arms]) for each in told] == [
        ("bootstrapped", [(1, 1.0)]),
        ("released", [(1, 0.9), (2, 0.1)]),
        ("promoted", [(2, 1.0)]),
    ]
    arm = told[-1].arms[0]
    assert (arm.batch_id, arm.decision, arm.released_by) == (
        batch,
        record(platform, line, batch).decision_id,
        "platform",
    )
    assert arm.reasons


def test_a_canary_that_is_taken_back_leaves_production_alone(tmp_path: Path) -> None:
    platform, line = opened(tmp_path, deployment_strategy="canary")
    batch = submit(platform, line, "good")
    run(platform, line, batch)
    advance(platform, line, actor="judge", reason="no harm so far")
    rollback(platform, line, to=None, reason="slow", actor="judge")
    assert ends(platform, line, batch) == ("ROLLED_BACK", "ROLLED_BACK")
    assert shares(platform, line) == {"production": (1, 1.0)}
    deploy(platform, line, 2, actor="ann", reason="once more")
    assert ends(platform, line, batch) == ("CANARY", "CANARY")
    promote(platform, line, actor="ann", reason="fine")
    assert ends(platform, line, batch) == ("DEPLOYED", "SUCCESS")
    assert [each["state"] for each in status.versions(platform, line)] == ["kept", "serving"]


def test_a_release_that_was_cut_off_is_recorded_wherever_its_version_is_by_now(tmp_path: Path) -> None:
    platform, line = opened(tmp_path, deployment_strategy="canary")
    batch = submit(platform, line, "good")
    run(platform, line, batch)
    lost = partial(platform.records.forget, line.line, batch, "deployed_version")  # the last step of a release
    lost()
    rollback(platform, line, to=None, reason="slow", actor="bob")
    release(platform, line, batch)
    assert ends(platform, line, batch) == ("ROLLED_BACK", "ROLLED_BACK")
    deploy(platform, line, 2, strategy="replace", actor="ann", reason="once more")
    deploy(platform, line, 1, actor="ann", reason="beside the base")
    lost()
    release(platform, line, batch)
    assert ends(platform, line, batch) == ("DEPLOYED", "SUCCESS")
    promote(platform, line, actor="ann", reason="the base is better")
    lost()
    before = live(platform, line)
    release(platform, line, batch)
    assert record(platform, line, batch).status == "SUCCESS"
    assert live(platform, line) == before, "what others did since stands"
    assert len(platform.ledger.entries(line.line, "released")) == 1
    assert auditing.disagreements(platform) == []


def test_where_no_gateway_lives_green_serves_at_once(tmp_path: Path) -> None:
    platform, line = opened(tmp_path, deployment_strategy="blue_green")
    batch = submit(platform, line, "good")
    run(platform, line, batch)
    assert ends(platform, line, batch) == ("DEPLOYED", "SUCCESS")
    assert shares(platform, line) == {"production": (2, 1.0), "previous": (1, 0.0)}
    assert [entry.kind for entry in platform.ledger.entries(line.line)][-2:] == ["released", "promoted"]


def test_the_first_version_of_a_line_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    platform, line = opened(tmp_path, deployment_strategy="canary")
    policy = Policy.model_validate({**line.policy.model_dump(), "bootstrap": "review"})
    line = line.model_copy(update={"policy": policy})
    platform = replace(platform, lines=lambda: [line])
    batch = submit(platform, line, "good")
    decision = judge(platform, line, batch)
    assert decision.pending
    answer(platform, decision.decision_id, YES)
    release(platform, line, batch)
    assert ends(platform, line, batch) == ("DEPLOYED", "SUCCESS")
    assert shares(platform, line) == {"production": (1, 1.0)}


POINTS = ("ledger", "pointer", "serving", "record")  # test_chain has them all
RELEASE = (
    "import sys; from pathlib import Path; from mlops_assets_tests.lifecycle.released import opened;"
    "from mlops_assets.lifecycle.deployment.release import release;"
    "release(*opened(Path(sys.argv[1]), deployment_strategy='canary'), sys.argv[2])"
)


def test_killed_again_and_again_one_canary_begins(tmp_path: Path) -> None:
    platform, line = opened(tmp_path, deployment_strategy="canary")
    batch = submit(platform, line, "good")
    assert judge(platform, line, batch).verdict == "APPROVE"
    for point in POINTS:
        command = [sys.executable, "-c", RELEASE, str(tmp_path), batch]
        assert subprocess.run(command, env={**os.environ, VARIABLE: f"release: after {point}"}).returncode == -9, point
    platform, line = opened(tmp_path, deployment_strategy="canary")
    reconcile(platform)
    assert ends(platform, line, batch) == ("CANARY", "CANARY")
    assert shares(platform, line) == {"production": (1, 0.9), "canary": (2, 0.1)}
    assert [entry.kind for entry in platform.ledger.entries(line.line)].count("released") == 1
    assert auditing.disagreements(platform) == platform.ledger.verify() == []
