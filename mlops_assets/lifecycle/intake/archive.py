"""Unpack what a stranger sent: nothing outside the folder, nothing beyond the budget, nothing half trusted.

Names are kept, because manifests refer to them.
"""

import re
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from mlops_assets.core.digests import CHUNK, folder_files
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Finding
from mlops_assets.lifecycle.intake.archive_rules import ArchiveLimits, Unsafe, check_names, finding, name_problem
from mlops_assets.lifecycle.intake.zip_directory import judged

ZIPS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
ARCHIVES = (*ZIPS, b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd")
TAR_MAGIC, TAR_OFFSET = b"ustar", 257


class Unpacked(Record):
    """What was unpacked, and what was found on the way; nothing is on disk if any finding asks for quarantine."""

    files: int
    size_bytes: int
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> bool:
        """Whether the batch must be set aside unread."""
        return any(found.severity == "quarantine" for found in self.findings)


def unpack(source: Path, target: Path, *, filename: str = "", limits: ArchiveLimits | None = None) -> Unpacked:
    """Write the files of a zip, a folder or a single file into the new folder `target`.

    Memory stays flat; symbolic links of a folder are not followed. A damaged entry of a zip is left out with ARC020.
    """
    target.mkdir(parents=True)
    bounds = limits or ArchiveLimits()
    try:
        if source.is_dir():
            return _copy_folder(source, target, bounds)
        return _unzip(source, target, bounds) if _is_zip(source) else _copy_file(source, target, filename, bounds)
    except Unsafe as unsafe:
        shutil.rmtree(target)
        target.mkdir()
        return Unpacked(files=0, size_bytes=0, findings=unsafe.findings)


def _copy_file(source: Path, target: Path, filename: str, limits: ArchiveLimits) -> Unpacked:
    size = source.stat().st_size
    if size > limits.max_bytes:
        raise Unsafe(finding("ARC003", filename, f"{size:,} bytes"))
    name = PurePosixPath(filename or source.name).name
    if name_problem(name, limits) is not None:
        name = f"batch{PurePosixPath(name).suffix.lower()}" if re.search(r"\.[A-Za-z0-9]{1,8}$", name) else "batch"
    with source.open("rb") as stream:
        _write(stream, target / name, _Budget(limits.max_bytes), name)
    return Unpacked(files=1, size_bytes=size, findings=())


def _copy_folder(source: Path, target: Path, limits: ArchiveLimits) -> Unpacked:
    files = folder_files(source)
    if len(files) > limits.max_entries:
        raise Unsafe(finding("ARC002", detail=f"{len(files):,} files"))
    check_names(list(files), limits)
    budget = _Budget(limits.max_bytes)
    for name, path in files.items():
        with path.open("rb") as stream:
            _write(stream, target / name, budget, name)
    return Unpacked(files=len(files), size_bytes=budget.used, findings=())


def _unzip(source: Path, target: Path, limits: ArchiveLimits) -> Unpacked:
    budget, damaged, files = _Budget(limits.max_bytes), [], 0
    with source.open("rb") as file, judged(file, limits) as (archive, entries):
        for entry, name in entries:
            if name.endswith("/"):
                (target / name).mkdir(parents=True, exist_ok=True)
                continue
            try:
                with archive.open(entry) as stream:
                    _write(stream, target / name, budget, name)
                files += 1
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                (target / name).unlink(missing_ok=True)
                damaged.append(finding("ARC020", name, str(error)))
    return Unpacked(files=files, size_bytes=budget.used, findings=tuple(damaged))


class _Budget:
    """Bytes written so far, of those that may be."""

    def __init__(self, limit: int) -> None:
        self.used = 0
        self._limit = limit

    def spend(self, count: int, name: str) -> None:
        self.used += count
        if self.used > self._limit:
            raise Unsafe(finding("ARC003", name, f"more than {self._limit:,} bytes"))


def _write(stream: IO[bytes], path: Path, budget: _Budget, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    chunk = stream.read(CHUNK)
    if chunk.startswith(ARCHIVES) or chunk[TAR_OFFSET:].startswith(TAR_MAGIC):
        raise Unsafe(finding("ARC012", name))
    with path.open("xb") as file:
        while chunk:
            budget.spend(len(chunk), name)
            file.write(chunk)
            chunk = stream.read(CHUNK)


def _is_zip(source: Path) -> bool:
    with source.open("rb") as file:
        return file.read(4) in ZIPS
