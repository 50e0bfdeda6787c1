import errno
import os
import pickle
import subprocess
import sys
import tracemalloc
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.adapters.artifact_store import FsspecStore
from mlops_assets.core.digests import sha256_bytes, sha256_file, sha256_folder
from mlops_assets.core.errors import Corrupt, NotFound, Refused
from mlops_assets_tests.adapters.processes import race, start

PUT = """
import sys
from pathlib import Path
from mlops_assets.adapters.artifact_store import FsspecStore
store = FsspecStore(sys.argv[1], Path(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(5):
    digest = store.put_folder(Path(sys.argv[3]))
    print(store.folder(digest))
"""

FULL = """
import resource, signal, sys
from pathlib import Path
from mlops_assets.adapters.artifact_store import FsspecStore
store = FsspecStore(sys.argv[1], Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.put_folder(Path(sys.argv[2]))
except OSError as error:
    print(error.errno)
"""


ENDLESS = """
import os, sys
from pathlib import Path
from mlops_assets.adapters.artifact_store import FsspecStore
store = FsspecStore(sys.argv[1], Path(sys.argv[1]))
print("ready", flush=True)
while True:
    print(store.put_bytes(os.urandom(4 << 20)), flush=True)
"""


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FsspecStore:
    """A store in a local folder, and one that fsspec reaches through the calls of an object store."""
    url = str(tmp_path / "store") if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    return FsspecStore(url, tmp_path)


@pytest.fixture
def local(tmp_path: Path) -> FsspecStore:
    return FsspecStore(str(tmp_path / "store"), tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "a.txt").write_bytes(b"one")
    (made / "deep" / "er" / "ü b").write_bytes(os.urandom(3 << 20))
    (made / "empty").write_bytes(b"")
    return made


def visible(tmp_path: Path) -> list[Path]:
    return [path for kind in ("sha256", "trees") for path in (tmp_path / "store" / kind).rglob("*") if path.is_file()]


def test_bytes_come_back(store: FsspecStore, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    digest = store.put_bytes(b"one")
    assert digest == store.put_file(path) == sha256_bytes(b"one")
    assert store.read_bytes(digest) == store.file(digest).read_bytes() == b"one"
    assert store.has(digest)
    assert store.size(digest) == 3


def test_a_folder_comes_back_read_only(store: FsspecStore, folder: Path) -> None:
    digest = store.put_folder(folder)
    assert digest == sha256_folder(folder) == store.put_folder(folder)
    copy = store.folder(digest)
    assert sha256_folder(copy) == digest
    assert store.folder(digest) == copy
    assert store.size(digest) == 3 + (3 << 20)
    assert store.has(digest)
    assert {path.stat().st_mode & 0o777 for path in copy.rglob("*") if path.is_file()} == {0o444}


@given(
    files=st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
            lambda name: name not in (".", "..") and len(name.encode()) < 200
        ),
        st.binary(max_size=100).map(lambda data: b"-" + data),
        max_size=4,
    )
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_digest_is_that_of_names_and_bytes(local: FsspecStore, tmp_path: Path, files: dict[str, bytes]) -> None:
    folder = tmp_path / uuid.uuid4().hex
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    digest = local.put_folder(folder)
    assert digest == sha256_folder(folder)
    assert {path.name: path.read_bytes() for path in local.folder(digest).iterdir()} == files


def test_what_is_not_there_is_said(store: FsspecStore) -> None:
    assert not store.has("a" * 64)
    for ask_for in (store.read_bytes, store.file, store.folder, store.size):
        for digest in ("a" * 64, "../../etc/passwd"):
            with pytest.raises(NotFound):
                ask_for(digest)


def test_pickles_are_refused_and_nothing_is_stored(local: FsspecStore, folder: Path, tmp_path: Path) -> None:
    pickled = pickle.dumps({"a": 1})
    (folder / "z.safetensors").write_bytes(pickled)
    for put in (
        lambda: local.put_folder(folder),
        lambda: local.put_file(folder / "z.safetensors"),
        lambda: local.put_bytes(pickled),
    ):
        with pytest.raises(Refused, match="pickle"):
            put()
    assert visible(tmp_path) == []


def spoil(path: Path) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_spoiled_copy_is_made_anew(store: FsspecStore, folder: Path) -> None:
    digest = store.put_folder(folder)
    copy = store.folder(digest)
    spoil(copy / "a.txt")
    assert sha256_folder(store.folder(digest)) == digest
    (copy / "extra").write_bytes(b"")
    assert sha256_folder(store.folder(digest)) == digest
    (copy / "deep" / "er" / "ü b").unlink()
    assert sha256_folder(store.folder(digest)) == digest


def test_a_spoiled_store_is_noticed(local: FsspecStore, folder: Path, tmp_path: Path) -> None:
    digest = local.put_folder(folder)
    blob = local.file(sha256_bytes(b"one"))
    spoil(blob)
    for read in (
        lambda: local.read_bytes(sha256_bytes(b"one")),
        lambda: local.file(sha256_bytes(b"one")),
        lambda: local.folder(digest),
    ):
        with pytest.raises(Corrupt, match="not what they were"):
            read()
    assert not (tmp_path / "cache" / "trees" / digest).exists()
    tree = tmp_path / "store" / "trees" / digest[:2] / digest
    spoil(tree)
    with pytest.raises(Corrupt):
        local.folder(digest)


def test_what_was_spoiled_in_a_local_store_is_mended_by_putting_it_again(local: FsspecStore, folder: Path) -> None:
    digest = local.put_folder(folder)
    tree = Path(local.file(local.put_bytes(b"tree"))).parents[2] / "trees" / digest[:2] / digest
    spoil(local.file(sha256_bytes(b"one")))
    spoil(tree)
    assert local.put_folder(folder) == digest
    assert sha256_folder(local.folder(digest)) == digest
    spoil(local.file(sha256_bytes(b"one")))
    assert local.read_bytes(local.put_bytes(b"one")) == b"one"


def test_processes_may_store_and_read_the_same_bytes_at_once(tmp_path: Path, folder: Path) -> None:
    said = race(PUT, [[str(tmp_path / "store"), str(tmp_path), str(folder)]] * 3)
    copies = {line for output in said for line in output.splitlines()}
    assert len(copies) == 1
    assert sha256_folder(Path(copies.pop())) == sha256_folder(folder)
    assert list((tmp_path / "store" / "unfinished").iterdir()) == []


def test_a_full_disk_leaves_no_partial_file(tmp_path: Path, folder: Path) -> None:
    """A limit on file size fails a write in the middle, as a full disk does."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "store"), str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{errno.EFBIG}\n"
    assert {path.name for path in visible(tmp_path)} <= {sha256_bytes(b"one"), sha256_bytes(b"")}
    assert list((tmp_path / "store" / "unfinished").iterdir()) == []


@pytest.mark.parametrize("stored_before", [0, 1, 5])
def test_a_killed_process_leaves_no_partial_file(tmp_path: Path, stored_before: int) -> None:
    process = start(ENDLESS, str(tmp_path / "store"))
    assert process.stdout is not None
    for _ in range(stored_before + 1):
        process.stdout.readline()
    process.kill()
    process.communicate()
    files = visible(tmp_path)
    assert len(files) >= stored_before
    assert all(path.name == sha256_file(path) for path in files)


def test_what_a_dead_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    unfinished = tmp_path / "store" / "unfinished"
    (unfinished / "folder").mkdir(parents=True)
    for name in ("old", "new"):
        (unfinished / name).write_bytes(b"")
    for path in (unfinished / "old", unfinished / "folder"):
        os.utime(path, (0, 0))
    FsspecStore(str(tmp_path / "store"), tmp_path)
    assert [path.name for path in unfinished.iterdir()] == ["new"]


def test_memory_is_flat(local: FsspecStore, tmp_path: Path) -> None:
    path = tmp_path / "made" / "large"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    local.folder(local.put_folder(path.parent))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


def test_removing_a_folder_spares_the_files_that_others_need(store: FsspecStore, tmp_path: Path) -> None:
    def put(name: str, **files: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        for each, text in files.items():
            (folder / each).write_text(text)
        return store.put_folder(folder)

    one, two = put("one", a="shared", b="own"), put("two", a="shared", c="named")
    three = put("three", c="named", d="gone")
    named = sha256_bytes(b"named")
    store.folder(one)
    assert store.remove([one, "f" * 64], keep=[]) > 0
    assert not store.has(one)
    assert not store.has(sha256_bytes(b"own"))
    with pytest.raises(NotFound):
        store.folder(one)
    assert store.folder(two).is_dir()
    assert store.remove([two, three], keep=[named, three]) > 0
    assert (store.has(two), store.has(three), store.has(named)) == (False, True, True)
    assert store.remove([one, two], keep=[]) == 0, "again, it finds nothing"
    assert put("again", a="shared", b="own") == one
    assert (store.folder(one) / "b").read_text() == "own"
