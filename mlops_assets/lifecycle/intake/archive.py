"""Unpack what a stranger sent: nothing outside the folder, nothing beyond the budget, nothing half trusted.

The whole directory of a zip is judged before a byte is written, and refused as a whole if any entry is unsafe. Names
are kept, because manifests refer to them: only relative names that mean the same file on every file system pass.
`zipfile` alone does not see entries that share bytes (CVE-2024-0450), and reads any number of entries into memory.
"""

import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from pydantic import BaseModel, ConfigDict, Field

from mlops_assets.core.digests import CHUNK, folder_files
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Finding, Severity

RULES: dict[str, tuple[str, Severity]] = {
    "ARC001": ("archive cannot be read", "quarantine"),
    "ARC002": ("too many entries", "quarantine"),
    "ARC003": ("too many bytes", "quarantine"),
    "ARC004": ("compressed beyond what data is", "quarantine"),
    "ARC005": ("entries overlap", "quarantine"),
    "ARC006": ("name leads outside the batch", "quarantine"),
    "ARC007": ("name is not portable", "quarantine"),
    "ARC008": ("two entries have one name", "quarantine"),
    "ARC009": ("link or device", "quarantine"),
    "ARC010": ("encrypted entry", "quarantine"),
    "ARC011": ("compression method not supported", "quarantine"),
    "ARC012": ("archive inside the batch", "quarantine"),
    "ARC013": ("header contradicts the directory", "quarantine"),
    "ARC020": ("damaged entry", "drop"),
}
FINDINGS: dict[str, str] = {code: title for code, (title, _) in RULES.items()}

ZIPS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
ARCHIVES = (*ZIPS, b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd")
TAR_MAGIC, TAR_OFFSET = b"ustar", 257
END, END_SIZE, LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535
END64, LOCATOR64 = b"PK\x06\x06", b"PK\x06\x07"
END64_SIZE = 56 + 20
DIRECTORY_ENTRY = struct.Struct("<4s24xHHH12x")
LOCAL_HEADER = struct.Struct("<4s2xHH16xHH")
ENCRYPTED, PATCHED, UTF8 = 0x2041, 0x20, 0x800
LINK_FIELD, LINK_FIELD_FIXED = 0x000D, 12
LONGEST_EXTRA = 1024
UNJUDGED_RATIO_BYTES = 1 << 20
SHOWN_FINDINGS, SHOWN_CHARACTERS = 20, 160


class ArchiveLimits(BaseModel):
    """What a batch may hold before anyone looks inside."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_entries: int = Field(default=20_000, ge=1, description="Files and folders of a batch")
    max_bytes: int = Field(default=2 << 30, ge=1, description="Bytes of a batch, unpacked")
    max_ratio: float = Field(
        default=200, ge=1, description="Bytes unpacked per byte packed, of the whole and of any entry above 1 MiB"
    )
    max_depth: int = Field(default=16, ge=1, description="Folders within folders")
    max_name_bytes: int = Field(default=255, ge=1, le=255, description="UTF-8 bytes of one part of a name")


class Unpacked(Record):
    """What was unpacked, and what was found on the way; nothing is on disk if any finding asks for quarantine."""

    files: int
    size_bytes: int
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> bool:
        """Whether the batch must be set aside unread."""
        return any(found.severity == "quarantine" for found in self.findings)


class Unsafe(Exception):
    """Why an archive is refused as a whole."""

    def __init__(self, *findings: Finding) -> None:
        self.findings = findings
        super().__init__(findings)


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


def finding(code: str, item: str | None = None, detail: str = "") -> Finding:
    """Return the finding `code`; names from the archive are cut short and stripped of control characters."""
    title, severity = RULES[code]
    return Finding(
        code=code, title=title, severity=severity, item=None if item is None else _plain(item), detail=_plain(detail)
    )


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
    _check_names(list(files), limits)
    budget = _Budget(limits.max_bytes)
    for name, path in files.items():
        with path.open("rb") as stream:
            _write(stream, target / name, budget, name)
    return Unpacked(files=len(files), size_bytes=budget.used, findings=())


def _unzip(source: Path, target: Path, limits: ArchiveLimits) -> Unpacked:
    with source.open("rb") as file:
        _check_directory(file, limits)
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OverflowError, OSError) as error:
            raise Unsafe(finding("ARC001", detail=str(error))) from error
        with archive:
            entries = archive.infolist()
            names = [_name(entry) for entry in entries]
            _check_entries(entries, names, source.stat().st_size, limits)
            _check_names(names, limits)
            _check_layout(file, entries, names, archive.start_dir)
            return _extract(archive, entries, names, target, limits)


def _extract(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], names: list[str], target: Path, limits: ArchiveLimits
) -> Unpacked:
    budget, damaged, files = _Budget(limits.max_bytes), [], 0
    for entry, name in zip(entries, names, strict=True):
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


def _check_directory(file: IO[bytes], limits: ArchiveLimits) -> None:
    """Walk the directory with flat memory before `zipfile` reads it whole; it ends where the end record begins."""
    length = file.seek(0, 2)
    behind = max(0, length - END_SIZE - LONGEST_COMMENT - END64_SIZE)
    file.seek(behind)
    tail = file.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) - at < END_SIZE:
        raise Unsafe(finding("ARC001", detail="its directory is missing: was the upload cut off?"))
    count, size = struct.unpack_from("<HI", tail, at + 10)
    if at >= END64_SIZE and tail.startswith(LOCATOR64, at - 20) and tail.startswith(END64, at - END64_SIZE):
        at -= END64_SIZE
        count, size = struct.unpack_from("<QQ", tail, at + 32)
    if count > limits.max_entries:
        raise Unsafe(finding("ARC002", detail=f"{count:,} entries"))
    if size > behind + at:
        raise Unsafe(finding("ARC001", detail="its directory is cut off"))
    file.seek(behind + at - size)
    entries = 0
    while size > 0:
        head = file.read(DIRECTORY_ENTRY.size)
        if len(head) < DIRECTORY_ENTRY.size or not head.startswith(b"PK\x01\x02"):
            raise Unsafe(finding("ARC001", detail=f"entry {entries + 1} of its directory"))
        name, extra, comment = DIRECTORY_ENTRY.unpack(head)[1:]
        entries += 1
        if entries > limits.max_entries or extra > LONGEST_EXTRA:
            raise Unsafe(finding("ARC002", detail=f"more than {entries - 1:,} entries, or {extra:,} extra bytes"))
        file.seek(name + extra + comment, 1)
        size -= DIRECTORY_ENTRY.size + name + extra + comment
    file.seek(0)


def _check_entries(entries: list[zipfile.ZipInfo], names: list[str], packed_bytes: int, limits: ArchiveLimits) -> None:
    total = sum(entry.file_size for entry in entries)
    found = []
    if len(entries) > limits.max_entries:
        found.append(finding("ARC002", detail=f"{len(entries):,} entries"))
    if total > limits.max_bytes:
        found.append(finding("ARC003", detail=f"{total:,} bytes"))
    if total > max(UNJUDGED_RATIO_BYTES, limits.max_ratio * packed_bytes):
        found.append(finding("ARC004", detail=f"{total / packed_bytes:,.0f} to 1"))
    for entry, name in zip(entries, names, strict=True):
        found += (finding(code, name) for code in _entry_problems(entry, name.endswith("/"), limits))
    _refuse(found)


def _entry_problems(entry: zipfile.ZipInfo, is_folder: bool, limits: ArchiveLimits) -> Iterator[str]:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR) > is_folder or _links(entry.extra):
        yield "ARC009"
    if entry.flag_bits & ENCRYPTED:
        yield "ARC010"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & PATCHED:
        yield "ARC011"
    if entry.file_size > max(UNJUDGED_RATIO_BYTES, limits.max_ratio * entry.compress_size):
        yield "ARC004"
    if entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
        yield "ARC013"


def _links(extra: bytes) -> bool:
    """Say whether an entry's PKWARE Unix field (APPNOTE 4.5.7) names the target of a link."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == LINK_FIELD and length > LINK_FIELD_FIXED:
            return True
        at += 4 + length
    return False


def _name(entry: zipfile.ZipInfo) -> str:
    """Return an entry's name as it was written; many tools write UTF-8 without saying so."""
    name = entry.orig_filename
    if not entry.flag_bits & UTF8:
        try:
            return name.encode("cp437").decode("utf-8")
        except UnicodeError:
            return name
    return name


def _check_names(names: list[str], limits: ArchiveLimits) -> None:
    found = [finding(code, name) for name in names if (code := name_problem(name, limits)) is not None]
    _refuse(found)
    files = Counter(_same(name) for name in names if not name.endswith("/"))
    folders = {_same(str(parent)) for name in names for parent in PurePosixPath(name).parents}
    folders |= {_same(name) for name in names if name.endswith("/")}
    _refuse([finding("ARC008", name) for name, count in files.items() if count > 1 or name in folders])


def name_problem(name: str, limits: ArchiveLimits) -> str | None:
    """Return the code of what makes a name unsafe, or None for a name that stays inside on every file system."""
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in name):
        return "ARC007"
    if name.startswith(("/", "~")) or "\\" in name or re.match(r"[A-Za-z]:", name):
        return "ARC006"
    parts = name.removesuffix("/").split("/")
    if ".." in parts:
        return "ARC006"
    portable = len(parts) <= limits.max_depth and all(
        part not in ("", ".") and len(part.encode()) <= limits.max_name_bytes for part in parts
    )
    return None if portable else "ARC007"


def _same(name: str) -> str:
    """Return what is equal for names that some file system takes for one: case and composition aside."""
    folded = unicodedata.normalize("NFD", name.rstrip("/")).casefold()
    return unicodedata.normalize("NFC", folded)


def _check_layout(file: IO[bytes], entries: list[zipfile.ZipInfo], names: list[str], directory: int) -> None:
    """Refuse entries that share bytes with another one or with the directory, and headers that tell another story."""
    end, last = 0, ""
    for entry, name in sorted(zip(entries, names, strict=True), key=lambda pair: pair[0].header_offset):
        if not 0 <= entry.header_offset < directory:
            raise Unsafe(finding("ARC013", name))
        file.seek(entry.header_offset)
        header = file.read(LOCAL_HEADER.size)
        if len(header) < LOCAL_HEADER.size or not header.startswith(ZIPS[0]):
            raise Unsafe(finding("ARC013", name))
        _, flags, method, name_length, extra_length = LOCAL_HEADER.unpack(header)
        if method != entry.compress_type or (flags ^ entry.flag_bits) & ENCRYPTED:
            raise Unsafe(finding("ARC013", name))
        if file.read(name_length) != _raw_name(entry):
            raise Unsafe(finding("ARC013", name))
        if entry.header_offset < end:
            raise Unsafe(finding("ARC005", name, f"with {last}"))
        end = entry.header_offset + LOCAL_HEADER.size + name_length + extra_length + entry.compress_size
        last = name
    if end > directory:
        raise Unsafe(finding("ARC005", last, "with the directory"))


def _raw_name(entry: zipfile.ZipInfo) -> bytes:
    return entry.orig_filename.encode("utf-8" if entry.flag_bits & UTF8 else "cp437")


def _refuse(found: list[Finding]) -> None:
    if found:
        raise Unsafe(*found[:SHOWN_FINDINGS])


def _plain(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:SHOWN_CHARACTERS])
