"""Bytes that come again while retention deletes them: an upload that was received is there, however the two meet."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.adapters.artifact_store import FsspecStore
from mlops_assets.core.digests import sha256_file, sha256_folder
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.deployment.retention import delete_retired
from mlops_assets.lifecycle.deployment.rollout import retire
from mlops_assets.lifecycle.intake.ingest import ingest, raw_batch
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets_tests.lifecycle.chain import submit
from mlops_assets_tests.lifecycle.released import lined_up
from mlops_assets_tests.waiting import wait_until


class Meeting(FsspecStore):
    """A store in which something happens just before bytes are removed, or just after certain ones were put."""

    def __init__(self, home: Path) -> None:
        super().__init__(str(home / "artifacts"), home)
        self.before_remove: list[Callable[[], object]] = []
        self.after_put: dict[str, Callable[[], object]] = {}

    def remove(self, *given: object, **named: object) -> int:
        while self.before_remove:
            self.before_remove.pop()()
        return super().remove(*given, **named)  # pyright: ignore[reportArgumentType]

    def put_file(self, path: Path) -> str:
        return self._put(super().put_file(path))

    def put_folder(self, folder: Path) -> str:
        return self._put(super().put_folder(folder))

    def _put(self, digest: str) -> str:
        self.after_put.pop(digest, lambda: None)()
        return digest


@pytest.fixture
def met(tmp_path: Path) -> tuple[Platform, Line, Meeting]:
    """A line whose version 2 is retired, and not yet deleted."""
    platform, line = lined_up(tmp_path, versions=2)
    retire(platform, line, 2, actor="ann", reason="old")
    store = Meeting(platform.home)
    return replace(platform, store=store), line, store


def upload(folder: Path, *, as_folder: bool) -> Path:
    """Make an upload that has a file of version 2."""
    target = folder / "upload" / "model.json"
    target.parent.mkdir()
    target.write_text('"topics 2"')
    return target.parent if as_folder else target


@pytest.mark.parametrize("as_folder", [False, True])
def test_what_arrives_while_a_deletion_runs_is_stored(
    met: tuple[Platform, Line, Meeting], tmp_path: Path, as_folder: bool
) -> None:
    platform, line, store = met
    path = upload(tmp_path, as_folder=as_folder)
    sending = threading.Thread(target=ingest, args=(platform, line, path), kwargs={"contributor": "a", "source": "cli"})

    def send() -> None:
        sending.start()
        wait_until(lambda: platform.batches.list(line.line))

    store.before_remove.append(send)
    assert delete_retired(platform) > 0
    sending.join()
    (batch,) = platform.batches.list(line.line)
    assert raw_batch(platform, line, batch.batch_id).sha256 == batch.sha256


@pytest.mark.parametrize("as_folder", [False, True])
def test_what_was_put_before_a_deletion_and_claimed_after_it_is_stored(
    met: tuple[Platform, Line, Meeting], tmp_path: Path, as_folder: bool
) -> None:
    platform, line, store = met
    path = upload(tmp_path, as_folder=as_folder)
    digest = sha256_folder(path) if as_folder else sha256_file(path)
    store.after_put[digest] = lambda: delete_retired(platform)
    record, _ = ingest(platform, line, path, contributor="ann", source="cli")
    assert [entry.body["version"] for entry in platform.ledger.entries(line.line, "deleted")] == [2]
    assert raw_batch(platform, line, record.batch_id) == record


def test_what_is_claimed_and_not_yet_recorded_is_not_deleted(
    met: tuple[Platform, Line, Meeting], tmp_path: Path
) -> None:
    platform, line, store = met
    digest = store.put_file(upload(tmp_path, as_folder=False))
    platform.batches.claim(line.line, digest, contributor="ann", source="cli", filename="model.json")
    delete_retired(platform)
    assert store.read_bytes(digest) == b'"topics 2"'


def test_a_checked_dataset_that_a_deletion_takes_is_stored_again(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    elsewhere, its_line = lined_up(tmp_path / "elsewhere")
    dataset = validate(elsewhere, its_line, submit(elsewhere, its_line, "good")).dataset
    platform, line = lined_up(tmp_path, versions=1)
    store = Meeting(platform.home)
    platform = replace(platform, store=store)
    store.put_folder(elsewhere.store.folder(dataset))
    platform.versions.add(
        line.line, servable=dataset, model=dataset, batch_id=None, decision_id="d", parent_version=None
    )
    retire(platform, line, 2, actor="ann", reason="old")
    batch = submit(platform, line, "good")
    store.after_put[dataset] = lambda: delete_retired(platform)
    assert validate(platform, line, batch).dataset == dataset
    assert [entry.body["version"] for entry in platform.ledger.entries(line.line, "deleted")] == [2]
    assert store.folder(dataset).is_dir()
