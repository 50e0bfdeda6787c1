"""Zips that no tool writes: every field of every header as the test wants it; and what became of them."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.lifecycle.intake.archive import Unpacked

STORED, DEFLATED, LZMA, ZSTANDARD = 0, 8, 14, 93
SYMLINK, HARD_FILE, DEVICE, FOLDER = 0o120777, 0o100644, 0o020666, 0o040755


@dataclass
class Entry:
    """One entry; what is None is what an honest tool would write."""

    name: bytes
    data: bytes = b""
    method: int = STORED
    mode: int = HARD_FILE
    flags: int = 0x800
    extra: bytes = b""
    packed: bytes | None = None
    crc: int | None = None
    size: int | None = None
    local_name: bytes | None = None
    local_flags: int | None = None
    offset: int | None = None

    def header(self, local: bool) -> tuple[bytes, bytes]:
        """Return the fields that local header and directory share, and the packed bytes."""
        packed = self.packed if self.packed is not None else pack(self.data) if self.method else self.data
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        size = len(self.data) if self.size is None else self.size
        name = self.local_name if local and self.local_name is not None else self.name
        flags = self.local_flags if local and self.local_flags is not None else self.flags
        fields = struct.pack(
            "<HHHHHIIIHH", 20, flags, self.method, 0, 33, crc, len(packed), size, len(name), len(self.extra)
        )
        return fields, packed


def pack(data: bytes, level: int = 9) -> bytes:
    """Return a raw deflate stream."""
    worker = zlib.compressobj(level, zlib.DEFLATED, -15)
    return worker.compress(data) + worker.flush()


def zip_bytes(*entries: Entry, count: int | None = None) -> bytes:
    """Return a zip of the entries; an entry with an `offset` has no local part of its own."""
    body, directory = bytearray(), bytearray()
    for entry in entries:
        at = len(body) if entry.offset is None else entry.offset
        if entry.offset is None:
            fields, packed = entry.header(local=True)
            body += b"PK\x03\x04" + fields + (entry.local_name or entry.name) + entry.extra + packed
        fields, _ = entry.header(local=False)
        directory += b"PK\x01\x02" + struct.pack("<H", 0x0314) + fields
        directory += struct.pack("<HHHII", 0, 0, 0, entry.mode << 16, at) + entry.name + entry.extra
    number = len(entries) if count is None else count
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, number & 0xFFFF, number & 0xFFFF, len(directory), len(body), 0)
    return bytes(body + directory) + end


def write_zip(path: Path, *entries: Entry) -> Path:
    """Write a zip of the entries."""
    path.write_bytes(zip_bytes(*entries))
    return path


def tree(folder: Path) -> set[str]:
    """Return what lies in a folder, by names relative to it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def codes(found: Unpacked) -> set[str]:
    """Return the codes of what was found."""
    return {each.code for each in found.findings}
