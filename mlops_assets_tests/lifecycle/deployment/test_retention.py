"""What the policy keeps stays whole, whatever shares its bytes; what nothing keeps is gone."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.adapters.artifact_store import FsspecStore
from mlops_assets.core.errors import Corrupt, NotFound, Refused
from mlops_assets.core.line import Line, Release
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle.deployment.retention import delete_retired, retention, spare
from mlops_assets.lifecycle.deployment.rollout import deploy, promote, retire, rollback
from mlops_assets.lifecycle.holding import hold
from mlops_assets.lifecycle.quarantine import quarantine
from mlops_assets_tests.lifecycle.chain import submit
from mlops_assets_tests.lifecycle.deployment.test_rollout_crashes import run
from mlops_assets_tests.lifecycle.released import lined_up, opened, put, version
from mlops_assets_tests.lines import baseline_line


def whole(platform: Platform, digest: str) -> bool:
    """Say whether a folder can be read back by a process that has never seen it."""
    with tempfile.TemporaryDirectory() as home:
        try:
            return FsspecStore(str(platform.home / "artifacts"), Path(home)).folder(digest).is_dir()
        except (NotFound, Corrupt):
            return False


def states(platform: Platform, line: Line) -> dict[int, bool]:
    """Return the versions, and whether each is whole."""
    return {each.version: whole(platform, each.servable) for each in platform.versions.list(line.line)}


def test_those_in_use_the_last_good_and_the_latest_others_stay(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, versions=7, keep_previous_versions=1, deployment_strategy="canary")
    for number in (2, 3, 4, 5):
        deploy(platform, line, number, strategy="replace", actor="ann", reason="next")
    rollback(platform, line, to=None, reason="bad", actor="bob")
    deploy(platform, line, 6, actor="ann", reason="a try")
    assert platform.versions.pointer(line.line).roles == {"production": 4, "previous": 5, "canary": 6}
    assert spare(platform, line) == [1, 2], "3 is the last good one, 7 the latest other"
    done = retention(platform)
    assert done.retired == 2
    assert done.freed > 0
    assert states(platform, line) == {1: False, 2: False, 3: True, 4: True, 5: True, 6: True, 7: True}
    assert retention(platform).retired == 0
    assert [entry.body["version"] for entry in platform.ledger.entries(line.line, "retired")] == [1, 2]
    assert [entry.body["version"] for entry in platform.ledger.entries(line.line, "deleted")] == [1, 2]
    promote(platform, line, actor="ann", reason="good")
    rollback(platform, line, to=3, reason="all bad", actor="ann")
    assert platform.versions.pointer(line.line).roles["production"] == 3


def test_bytes_that_a_version_which_stays_shares_are_not_deleted(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, versions=2)
    twin = version(platform, line, '"topics 2"')
    assert twin.servable == platform.versions.get(line.line, 2).servable
    retire(platform, line, 2, actor="ann", reason="old")
    assert delete_retired(platform) == 0
    assert states(platform, line) == {1: True, 2: True, 3: True}
    retire(platform, line, 3, actor="ann", reason="old")
    assert delete_retired(platform) > 0
    assert states(platform, line) == {1: True, 2: False, 3: False}
    assert whole(platform, platform.versions.get(line.line, 1).servable), "labels.json is in every version"


def candidate(platform: Platform, line: Line, batch_id: str, digest: str) -> None:
    """Record what a training would have."""
    made = CandidateModel(
        line=line.line,
        batch_id=batch_id,
        parents={},
        parent_version=1,
        parent_model=digest,
        model=digest,
        servable=digest,
        recipe="r",
        seed=1,
        items=1,
        steps=1,
        seconds=1,
        device="cpu",
        code_version="test",
    )
    platform.records.put("candidate_model", made)


def test_what_a_batch_under_way_needs_goes_only_when_that_has_ended(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, versions=2)
    batch = submit(platform, line, "good")
    candidate(platform, line, batch, platform.versions.get(line.line, 2).servable)
    retire(platform, line, 2, actor="ann", reason="old")
    assert delete_retired(platform) == 0
    assert states(platform, line)[2]
    quarantine(platform, line, batch, reason_code="X", reason="bad", deployment_status="ERROR", logs=None)
    assert delete_retired(platform) > 0
    assert not states(platform, line)[2]


def test_nothing_is_deleted_while_a_line_is_at_work(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, versions=2)
    retire(platform, line, 2, actor="ann", reason="old")
    with hold(platform, line, "a training"):
        assert delete_retired(platform) == 0
    assert states(platform, line)[2]
    assert delete_retired(platform) > 0


def test_killed_between_bytes_and_ledger_it_is_finished(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, versions=2)
    retire(platform, line, 2, actor="ann", reason="old")
    assert run(tmp_path, "replace", "delete", 0, "delete: after bytes") == -9
    platform, line = opened(tmp_path)
    assert platform.ledger.entries(line.line, "deleted") == []
    delete_retired(platform)
    assert [entry.body["version"] for entry in platform.ledger.entries(line.line, "deleted")] == [2]
    assert states(platform, line) == {1: True, 2: False}


def test_a_version_that_waits_for_its_release_is_not_spare(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, versions=1, keep_previous_versions=1)
    digest = put(platform, {"model.json": "waits"})
    platform.versions.add(
        line.line, servable=digest, model=digest, batch_id="20260101-abc", decision_id="p", parent_version=None
    )
    version(platform, line)
    assert spare(platform, line) == []
    with pytest.raises(Refused, match="not released to its end"):
        retire(platform, line, 2, actor="ann", reason="x")


FILES = st.frozensets(st.integers(0, 5), min_size=1, max_size=3)
LINES = ("topics", "others")


@settings(max_examples=10, deadline=None)
@given(
    versions=st.lists(st.tuples(st.sampled_from(LINES), FILES, FILES, st.booleans()), min_size=1, max_size=8),
    datasets=st.lists(FILES, max_size=2),
    undeclared=st.booleans(),
)
def test_no_file_is_deleted_that_anything_kept_is_made_of(
    versions: list[tuple[str, frozenset[int], frozenset[int], bool]], datasets: list[frozenset[int]], undeclared: bool
) -> None:
    with tempfile.TemporaryDirectory(prefix="retention-") as folder:
        platform, _ = opened(Path(folder))
        release = Release(keep_previous_versions=100)
        lines = [baseline_line(Path(folder), name=name, release=release) for name in LINES]
        platform = replace(platform, lines=lambda: lines)

        def stored(files: frozenset[int]) -> str:
            return put(platform, {f"{each}.json": f"file {each}" for each in files})

        kept = {stored(files | {8}) for files in datasets}
        gone: set[str] = set()
        for line in lines:
            digest = stored(frozenset({9}))
            platform.versions.add(
                line.line, servable=digest, model=digest, batch_id=None, decision_id="first", parent_version=None
            )
            deploy(platform, line, 1, actor="ann", reason="the first")
            kept.add(digest)
        for number, (name, servable, model, spared) in enumerate(versions):
            line = next(each for each in lines if each.line == name)
            made = platform.versions.add(
                name,
                servable=stored(servable),
                model=stored(model),
                batch_id=None,
                decision_id=f"d{number}",
                parent_version=None,
            )
            if not spared:
                retire(platform, line, made.version, actor="ann", reason="old")
            stays = spared or (undeclared and name == "others")
            (kept if stays else gone).update({made.servable, made.model})
        if undeclared:
            platform = replace(platform, lines=lambda: lines[:1])
        delete_retired(platform)
        assert all(whole(platform, digest) for digest in kept)
        models = gone - kept
        assert not any(platform.store.has(digest) for digest in models), "and what only retired versions needed is gone"
