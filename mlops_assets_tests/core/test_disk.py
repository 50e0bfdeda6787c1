import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mlops_assets.core.disk import refused_by_disk


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_full_disk_is_found_at_the_bottom_of_a_librarys_error(number: int) -> None:
    full = OSError(number, os.strerror(number), "/home/model.bin")
    wrapped = RuntimeError("could not save")
    wrapped.__cause__ = full
    found = refused_by_disk(wrapped)
    assert found is not None
    assert "/home/model.bin" in found.what
    assert "Make room" in found.todo


def test_a_librarys_own_database_counts(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "runs.db")) as tables:
        tables.execute("PRAGMA query_only = ON")
        with pytest.raises(sqlite3.OperationalError) as raised:
            tables.execute("CREATE TABLE runs (id)")
    assert "readonly" in str(refused_by_disk(raised.value))


def test_a_file_of_somebody_else_is_named() -> None:
    found = refused_by_disk(PermissionError(errno.EACCES, "Permission denied", "/srv/mine.jsonl"))
    assert found is not None
    assert found.what == "/srv/mine.jsonl may not be used by this user: Permission denied."


def test_what_is_no_fault_of_the_disk_is_nothing() -> None:
    assert refused_by_disk(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None
    assert refused_by_disk(ValueError("wrong")) is None
    assert refused_by_disk(None) is None
