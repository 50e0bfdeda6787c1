import json
import os
from pathlib import Path

import pytest

from mlops_assets.adapters.inbox_folder import InboxFolder
from mlops_assets.core.digests import sha256_bytes, sha256_folder
from mlops_assets.core.ports.intake import InboxScan


@pytest.fixture
def inbox(tmp_path: Path) -> InboxFolder:
    return InboxFolder(tmp_path)


def names(scan: InboxScan) -> list[str]:
    return [upload.name for upload in scan.ready]


def again(inbox: InboxFolder, scan: InboxScan) -> InboxScan:
    """Scan with a state that went through a cursor's JSON."""
    return inbox.scan(json.loads(json.dumps(scan.state)))


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert InboxFolder(tmp_path / "none").scan({}) == InboxScan(ready=(), waiting={}, state={})


def test_a_file_is_offered_once_when_it_stopped_growing(inbox: InboxFolder, tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(b"1")
    first = inbox.scan({})
    assert names(first) == []
    assert "growing" in first.waiting["a.zip"]
    file.write_bytes(b"12")
    second = again(inbox, first)
    assert names(second) == []
    third = again(inbox, second)
    assert names(third) == ["a.zip"]
    assert third.ready[0].size_bytes == 2
    assert Path(third.ready[0].path).read_bytes() == b"12"
    fourth = again(inbox, third)
    assert (names(fourth), fourth.waiting) == ([], {})
    assert names(again(inbox, fourth)) == []
    file.write_bytes(b"other")
    fifth = again(inbox, fourth)
    assert names(fifth) == []
    assert names(again(inbox, fifth)) == ["a.zip"]


def test_the_same_size_with_another_time_is_still_growing(inbox: InboxFolder, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"1")
    first = inbox.scan({})
    os.utime(tmp_path / "a.zip", (1, 1))
    assert names(again(inbox, first)) == []


def test_a_marker_says_that_it_is_complete(inbox: InboxFolder, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"1")
    (tmp_path / "a.zip.done").touch()
    scan = inbox.scan({})
    assert names(scan) == ["a.zip"]
    assert names(again(inbox, scan)) == []


@pytest.mark.parametrize("name", ["a.zip.part", "a.tmp", "a.PART", ".a.zip", "a.crdownload"])
def test_unfinished_and_hidden_files_are_ignored(inbox: InboxFolder, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"1")
    assert inbox.scan(inbox.scan({}).state) == InboxScan(ready=(), waiting={}, state={})


def test_links_are_not_followed(inbox: InboxFolder, tmp_path: Path) -> None:
    (tmp_path / "a.zip").symlink_to("/etc/passwd")
    assert inbox.scan({}).state == {}


def test_a_stated_sha256_must_match(inbox: InboxFolder, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"whole")
    (tmp_path / "a.zip.done").touch()
    stated = tmp_path / "a.zip.sha256"
    stated.write_text(f"{sha256_bytes(b'other')}  a.zip\n")
    scan = inbox.scan({})
    assert names(scan) == []
    assert "upload it again" in scan.waiting["a.zip"]
    scan = again(inbox, scan)
    assert "upload it again" in scan.waiting["a.zip"]
    stated.write_text("nonsense")
    os.utime(stated, (1, 1))
    scan = again(inbox, scan)
    assert scan.waiting["a.zip"] == "a.zip.sha256 holds no sha256"
    stated.write_text(sha256_bytes(b"whole").upper())
    os.utime(stated, (2, 2))
    assert names(again(inbox, scan)) == ["a.zip"]


def test_a_folder_needs_its_marker(inbox: InboxFolder, tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"123")
    first = inbox.scan({})
    second = again(inbox, first)
    assert names(second) == []
    assert second.waiting == {"batch": "a folder is taken when batch.done lies beside it"}
    (tmp_path / "batch.sha256").write_text(sha256_folder(folder))
    (tmp_path / "batch.done").touch()
    third = again(inbox, second)
    assert [(upload.name, upload.size_bytes) for upload in third.ready] == [("batch", 3)]
    assert names(again(inbox, third)) == []


def test_a_lost_state_offers_again(inbox: InboxFolder, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"1")
    assert names(again(inbox, inbox.scan({}))) == names(again(inbox, inbox.scan({}))) == ["a.zip"]
