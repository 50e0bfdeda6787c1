import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.core.digests import sha256_file, sha256_folder
from mlops_assets.core.errors import Corrupt, NotFound, Refused
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.intake.ingest import ingest, raw_batch
from mlops_assets_tests.lines import baseline_line, good_batch, small_batch

SUBMIT = """
import sys
from pathlib import Path
from mlops_assets.lifecycle.intake.ingest import ingest
from mlops_assets_tests.lines import baseline_line
from mlops_assets_tests.platform_fixture import make_platform
tmp_path, upload = map(Path, sys.argv[1:])
print(ingest(make_platform(tmp_path), baseline_line(tmp_path), upload, contributor="a", source="cli")[0].batch_id)
"""


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return baseline_line(tmp_path)


def submit(tmp_path: Path, upload: Path, failpoint: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SUBMIT, str(tmp_path), str(upload)],
        env={**os.environ, "FAILPOINT": failpoint},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_folder_and_a_file_become_batches_under_their_digests(platform: Platform, line: Line, tmp_path: Path) -> None:
    folder = good_batch(tmp_path / "good")
    file = folder / "texts.jsonl"
    for upload, digest in ((folder, sha256_folder(folder)), (file, sha256_file(file))):
        record, duplicate = ingest(platform, line, upload, contributor="ann", source="cli")
        assert not duplicate
        assert record.sha256 == record.artifact == digest
        assert record.batch_id.endswith(f"-{digest[:12]}")
        assert (record.is_folder, record.filename) == (upload.is_dir(), upload.name)
        assert record.size_bytes == file.stat().st_size
        assert raw_batch(platform, line, record.batch_id) == record
    assert [entry.kind for entry in platform.ledger.entries(line.line)] == ["submitted", "submitted"]
    assert platform.ledger.verify() == []


def test_the_same_bytes_are_one_batch_whoever_sends_them(platform: Platform, line: Line, tmp_path: Path) -> None:
    folder = good_batch(tmp_path / "good")
    first, _ = ingest(platform, line, folder, contributor="ann", source="cli")
    again = Path(shutil.copytree(folder, tmp_path / "renamed"))
    assert ingest(platform, line, again, contributor="bob", source="inbox") == (first, True)
    assert len(platform.records.history(line.line, first.batch_id, "raw_batch")) == 1
    assert len(platform.ledger.entries(line.line, "submitted")) == 1
    assert len(platform.batches.list(line.line)) == 1


def test_lines_do_not_share_batches(platform: Platform, line: Line, tmp_path: Path) -> None:
    folder = good_batch(tmp_path / "good")
    other = line.model_copy(update={"line": "others"})
    assert not ingest(platform, line, folder, contributor="ann", source="cli")[1]
    assert not ingest(platform, other, folder, contributor="ann", source="cli")[1]


def test_processes_that_send_the_same_bytes_at_once_make_one_batch(
    platform: Platform, line: Line, tmp_path: Path
) -> None:
    folder = good_batch(tmp_path / "good")
    senders = [submit(tmp_path, folder) for _ in range(3)]
    ids = {sender.communicate()[0] for sender in senders}
    assert [sender.returncode for sender in senders] == [0, 0, 0]
    assert len(ids) == 1
    assert len(platform.batches.list(line.line)) == 1
    assert len(platform.ledger.entries(line.line, "submitted")) == 1


@pytest.mark.parametrize("point", ["ingest: before claim", "ingest: before record", "ingest: before put"])
def test_a_crash_heals_when_the_same_bytes_come_again(
    platform: Platform, line: Line, tmp_path: Path, point: str
) -> None:
    folder = good_batch(tmp_path / "good")
    sender = submit(tmp_path, folder, point)
    sender.communicate()
    assert sender.returncode == -9
    for batch in platform.batches.list(line.line):
        with pytest.raises(NotFound, match="again"):
            raw_batch(platform, line, batch.batch_id)
    record, duplicate = ingest(platform, line, folder, contributor="ann", source="cli")
    assert not duplicate
    assert raw_batch(platform, line, record.batch_id) == record
    assert ingest(platform, line, folder, contributor="ann", source="cli") == (record, True)
    assert len(platform.ledger.entries(line.line, "submitted")) == 1


def test_spoiled_bytes_are_noticed(platform: Platform, line: Line, tmp_path: Path) -> None:
    file = small_batch(tmp_path / "small") / "texts.jsonl"
    record, _ = ingest(platform, line, file, contributor="ann", source="cli")
    stored = platform.store.file(record.artifact)
    stored.chmod(0o644)
    stored.write_bytes(b"other")
    with pytest.raises(Corrupt):
        raw_batch(platform, line, record.batch_id)


def test_links_devices_and_nothing_are_refused(platform: Platform, line: Line, tmp_path: Path) -> None:
    folder = good_batch(tmp_path / "good")
    (tmp_path / "link").symlink_to(folder)
    os.mkfifo(tmp_path / "pipe")
    for upload, error in (("link", Refused), ("pipe", Refused), ("nothing", NotFound)):
        with pytest.raises(error):
            ingest(platform, line, tmp_path / upload, contributor="ann", source="cli")
    (folder / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match="link"):
        ingest(platform, line, folder, contributor="ann", source="cli")
    assert platform.batches.list(line.line) == []


def test_an_upload_beyond_the_size_of_a_batch_is_refused_unread(platform: Platform, line: Line, tmp_path: Path) -> None:
    with (tmp_path / "huge.zip").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Refused, match="Split it"):
        ingest(platform, line, tmp_path / "huge.zip", contributor="ann", source="cli")


def test_names_that_are_not_utf8_are_refused(platform: Platform, line: Line, tmp_path: Path) -> None:
    folder = good_batch(tmp_path / "good")
    try:
        (folder / os.fsdecode(b"\xff.wav")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system keeps such names out")
    with pytest.raises(Refused, match="UTF-8"):
        ingest(platform, line, folder, contributor="ann", source="cli")
