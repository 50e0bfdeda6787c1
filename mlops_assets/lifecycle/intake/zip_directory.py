"""The directory of a zip, judged before a byte is written: the zip is refused as a whole if any entry is unsafe.

`zipfile` alone does not see entries that share bytes (CVE-2024-0450), and reads any number of entries into memory.
"""

import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from mlops_assets.lifecycle.intake.archive_rules import ArchiveLimits, Unsafe, check_names, finding, refuse

ENTRY, LOCAL = b"PK\x01\x02", b"PK\x03\x04"
END, END_SIZE, LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535
END64, LOCATOR64 = b"PK\x06\x06", b"PK\x06\x07"
END64_SIZE = 56 + 20
DIRECTORY_ENTRY = struct.Struct("<4s24xHHH12x")
LOCAL_HEADER = struct.Struct("<4s2xHH16xHH")
ENCRYPTED, PATCHED, UTF8 = 0x2041, 0x20, 0x800
LINK_FIELD, LINK_FIELD_FIXED = 0x000D, 12
LONGEST_EXTRA = 1024
UNJUDGED_RATIO_BYTES = 1 << 20

Named = tuple[zipfile.ZipInfo, str]


@contextmanager
def judged(file: IO[bytes], limits: ArchiveLimits) -> Iterator[tuple[zipfile.ZipFile, list[Named]]]:
    """Open a zip and yield it with its entries; raise Unsafe for one that must not be unpacked."""
    length = file.seek(0, 2)
    _check_directory(file, length, limits)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OverflowError, OSError) as error:
        raise Unsafe(finding("ARC001", detail=str(error))) from error
    with archive:
        entries = [(entry, _name(entry)) for entry in archive.infolist()]
        _check_entries(entries, length, limits)
        check_names([name for _, name in entries], limits)
        _check_layout(file, entries, archive.start_dir)
        yield archive, entries


def _check_directory(file: IO[bytes], length: int, limits: ArchiveLimits) -> None:
    """Walk the directory with flat memory before `zipfile` reads it whole; it ends where the end record begins."""
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
        if len(head) < DIRECTORY_ENTRY.size or not head.startswith(ENTRY):
            raise Unsafe(finding("ARC001", detail=f"entry {entries + 1} of its directory"))
        name, extra, comment = DIRECTORY_ENTRY.unpack(head)[1:]
        entries += 1
        if entries > limits.max_entries or extra > LONGEST_EXTRA:
            raise Unsafe(finding("ARC002", detail=f"more than {entries - 1:,} entries, or {extra:,} extra bytes"))
        file.seek(name + extra + comment, 1)
        size -= DIRECTORY_ENTRY.size + name + extra + comment
    file.seek(0)


def _check_entries(entries: list[Named], packed_bytes: int, limits: ArchiveLimits) -> None:
    total = sum(entry.file_size for entry, _ in entries)
    found = []
    if len(entries) > limits.max_entries:
        found.append(finding("ARC002", detail=f"{len(entries):,} entries"))
    if total > limits.max_bytes:
        found.append(finding("ARC003", detail=f"{total:,} bytes"))
    if total > max(UNJUDGED_RATIO_BYTES, limits.max_ratio * packed_bytes):
        found.append(finding("ARC004", detail=f"{total / packed_bytes:,.0f} to 1"))
    for entry, name in entries:
        found += (finding(code, name) for code in _entry_problems(entry, name.endswith("/"), limits))
    refuse(found)


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


def _check_layout(file: IO[bytes], entries: list[Named], directory: int) -> None:
    """Refuse entries that share bytes with another one or with the directory, and headers that tell another story."""
    end, last = 0, ""
    for entry, name in sorted(entries, key=lambda pair: pair[0].header_offset):
        if not 0 <= entry.header_offset < directory:
            raise Unsafe(finding("ARC013", name))
        file.seek(entry.header_offset)
        header = file.read(LOCAL_HEADER.size)
        if len(header) < LOCAL_HEADER.size or not header.startswith(LOCAL):
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
