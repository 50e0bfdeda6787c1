"""A release with a Hub: the tables lead, the Hub follows, and nobody waits for it who need not."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.adapters.hub_huggingface import HuggingFaceHub
from mlops_assets.core.line import Hub, Line, Release
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle import auditing, status
from mlops_assets.lifecycle.deployment.release import reconcile, release
from mlops_assets.lifecycle.deployment.rollout import promote, rollback
from mlops_assets.lifecycle.failpoints import VARIABLE
from mlops_assets_tests.hub_server import HubServer, hub
from mlops_assets_tests.lifecycle.chain import judge, open_light_line, run, submit

__all__ = ["hub"]
REPO = "team/topics"


def opened(folder: Path, *, serve_before_published: bool = True) -> tuple[Platform, Line]:
    """Open the line under `folder`, as a process does that has just been started."""
    platform, line = open_light_line(folder)
    line = line.model_copy(update={"hub": Hub(repo=REPO, serve_before_published=serve_before_published)})
    return replace(platform, hub=HuggingFaceHub(rest_seconds=0, sleep=lambda _: None), lines=lambda: [line]), line


def deployment(platform: Platform, line: Line, batch: str) -> tuple[str, str | None]:
    return status.status(platform, line, batch), status.deployment_status(platform, line, batch)


def serves(platform: Platform, line: Line) -> object:
    live = platform.serving.live(line.line)
    return live and live.production.version


def test_a_release_is_published_and_a_rollback_followed(tmp_path: Path, hub: HubServer) -> None:
    platform, line = opened(tmp_path)
    batch = submit(platform, line, "good")
    run(platform, line, batch)
    assert deployment(platform, line, batch) == ("DEPLOYED", "SUCCESS")
    repository = hub.repositories[REPO]
    entry = platform.ledger.entries(line.line, "published")[0]
    assert (entry.body["commit"], entry.body["tag"]) == (repository.tags["v2"], "v2")
    made = platform.versions.get(line.line, 2)
    folder = platform.store.folder(made.servable)
    for path in folder.rglob("*"):
        if path.is_file():
            assert repository.head["tree"][path.relative_to(folder).as_posix()] == path.read_bytes()
    assert "## Decision" in repository.head["tree"]["README.md"].decode()
    reconcile(platform)
    assert repository.tags["production"] == repository.tags["v2"]
    rollback(platform, line, to=None, reason="x", actor="bob")
    reconcile(platform)
    assert repository.tags["production"] == repository.tags["v1"], "the base model is published when it serves"
    asked = len(hub.asked)
    reconcile(platform)
    assert len(hub.asked) == asked, "nothing is owed"
    assert platform.ledger.verify() == auditing.disagreements(platform) == []


def test_serving_goes_on_while_the_hub_is_away(tmp_path: Path, hub: HubServer) -> None:
    platform, line = opened(tmp_path)
    batch = submit(platform, line, "good")
    hub.fail("", *[503] * 1000)
    run(platform, line, batch)
    assert deployment(platform, line, batch) == ("PENDING_PUBLISH", "PENDING_PUBLISH")
    assert serves(platform, line) == 2
    assert len(hub.asked) == 6
    reconcile(platform)
    assert deployment(platform, line, batch)[1] == "PENDING_PUBLISH"
    hub.faults.clear()
    platform, line = opened(tmp_path)
    reconcile(platform)
    reconcile(platform)
    assert deployment(platform, line, batch) == ("DEPLOYED", "SUCCESS")
    assert [each["title"] for each in hub.repositories[REPO].commits[1:]] == ["topics v2"]
    assert len(platform.ledger.entries(line.line, "published")) == 1
    assert auditing.disagreements(platform) == []


def test_a_line_that_waits_is_not_switched_before(tmp_path: Path, hub: HubServer) -> None:
    platform, line = opened(tmp_path, serve_before_published=False)
    batch = submit(platform, line, "good")
    hub.fail("", *[503] * 1000)
    run(platform, line, batch)
    assert deployment(platform, line, batch) == ("PENDING_PUBLISH", "PENDING_PUBLISH")
    assert serves(platform, line) == 1
    assert release(platform, line, batch).status == "PENDING_PUBLISH"
    assert platform.ledger.entries(line.line, "released") == auditing.disagreements(platform) == []
    hub.faults.clear()
    reconcile(platform)
    assert deployment(platform, line, batch) == ("DEPLOYED", "SUCCESS")
    assert serves(platform, line) == 2
    assert len(platform.ledger.entries(line.line, "released")) == 1


def test_who_waited_too_long_is_set_aside(tmp_path: Path, hub: HubServer) -> None:
    platform, line = opened(tmp_path, serve_before_published=False)
    first, second = submit(platform, line, "good"), submit(platform, line, "good", seed=8, items=240)
    assert judge(platform, line, first).verdict == judge(platform, line, second).verdict == "APPROVE"
    hub.fail("", *[503] * 1000)
    release(platform, line, first)
    release(platform, line, second)
    hub.faults.clear()
    reconcile(platform)
    assert serves(platform, line) == 2
    assert deployment(platform, line, first) == ("DEPLOYED", "SUCCESS")
    assert deployment(platform, line, second) == ("QUARANTINED", "ERROR")


def test_a_canary_goes_on_while_the_hub_is_away(tmp_path: Path, hub: HubServer) -> None:
    platform, line = opened(tmp_path)
    line = line.model_copy(update={"release": Release(deployment_strategy="canary")})
    platform = replace(platform, lines=lambda: [line])
    batch = submit(platform, line, "good")
    hub.fail("", *[503] * 1000)
    run(platform, line, batch)
    assert deployment(platform, line, batch)[1] == "PENDING_PUBLISH"
    assert serves(platform, line) == 1
    hub.faults.clear()
    platform = replace(opened(tmp_path)[0], lines=lambda: [line])
    reconcile(platform)
    assert deployment(platform, line, batch) == ("CANARY", "CANARY")
    assert hub.repositories[REPO].tags["production"] != hub.repositories[REPO].tags["v2"]
    promote(platform, line, actor="ann", reason="good")
    assert deployment(platform, line, batch) == ("DEPLOYED", "SUCCESS")
    reconcile(platform)
    assert hub.repositories[REPO].tags["production"] == hub.repositories[REPO].tags["v2"]
    assert len(platform.ledger.entries(line.line, "released")) == 1


CHAIN = (
    "import sys; from pathlib import Path; from mlops_assets_tests.lifecycle.deployment.test_publishing import opened;"
    "from mlops_assets.lifecycle.deployment.release import release;"
    "p, l = opened(Path(sys.argv[1]), serve_before_published=sys.argv[3] == 'yes'); release(p, l, sys.argv[2])"
)


@pytest.mark.parametrize("before", ["yes", "no"])
def test_killed_at_every_point_it_is_published_once(tmp_path: Path, hub: HubServer, before: str) -> None:
    platform, line = opened(tmp_path, serve_before_published=before == "yes")
    batch = submit(platform, line, "good")
    judge(platform, line, batch)
    for point in ("release: after record", "publish: after hub", "publish: after ledger"):
        command = [sys.executable, "-c", CHAIN, str(tmp_path), batch, before]
        assert subprocess.run(command, env={**os.environ, VARIABLE: point}).returncode == -9, point
    platform, line = opened(tmp_path, serve_before_published=before == "yes")
    reconcile(platform)
    assert deployment(platform, line, batch) == ("DEPLOYED", "SUCCESS")
    assert [each["title"] for each in hub.repositories[REPO].commits[1:]] == ["topics v2"]
    for kind in ("released", "published"):
        assert len(platform.ledger.entries(line.line, kind)) == 1
