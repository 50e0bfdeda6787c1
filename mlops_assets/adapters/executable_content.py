"""Recognising bytes that run code when they are loaded: pickles in all their wrappings, and HDF5 models.

By content alone; a file's name says nothing. The formats the platform uses (safetensors, ONNX, tflite, JSON, audio,
images, archives of them) pass. This is a fence against accidents and simple attacks, in front of the rule that nothing
here ever unpickles.
"""

import bz2
import io
import lzma
import mmap
import pickletools
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

WINDOW = 1 << 16
UNPACKER_MEMORY = 1 << 28
END_OF_ARCHIVE = b"PK\x05\x06"
ARCHIVE_TAIL = 22 + 0xFFFF
ARCHIVE_MEMBER = re.compile(
    rb"PK\x01\x02(?s:.{42})[^\x00-\x1f]*?(?:\.pkl|\.pickle|\.joblib|\.h5|\.hdf5)", re.IGNORECASE
)
HDF5 = b"\x89HDF\r\n\x1a\n"
HDF5_OFFSETS = (0, 512, 1024, 2048, 4096, 8192)
NUMPY_OBJECTS = re.compile(rb"\x93NUMPY.{4,8}[^\x00\n]*'descr':[^\n]*\|O", re.DOTALL)
IMPORTS = {"GLOBAL", "STACK_GLOBAL", "INST", "REDUCE", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "EXT1", "EXT2", "EXT4"}
TEXT_MARKS = {"GLOBAL", "INST", "PUT"}
EXHAUSTED = ("exhausted", "no newline found", "not enough data", "expected")
NAME = re.compile(r"[\w.]+ [\w.]+")
UNPACKERS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"\x78": lambda: zlib.decompressobj(),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lambda: lzma.LZMADecompressor(memlimit=UNPACKER_MEMORY),
    b"\x5d\x00\x00": lambda: lzma.LZMADecompressor(memlimit=UNPACKER_MEMORY),
}


def executable_content(path: Path) -> str | None:
    """Say what a file holds that runs code when loaded, or None; memory stays flat."""
    with path.open("rb") as file:
        head = file.read(WINDOW)
        if not head:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _in_content(content, head)


def executable_bytes(data: bytes) -> str | None:
    """Say what bytes hold that runs code when loaded, or None."""
    return _in_content(data, data[:WINDOW])


def _in_content(content: bytes | mmap.mmap, head: bytes) -> str | None:
    found = _in_head(head, len(content) > len(head))
    if found is None and content.rfind(END_OF_ARCHIVE, max(0, len(content) - ARCHIVE_TAIL)) >= 0:
        member = ARCHIVE_MEMBER.search(content)
        if member is not None:
            return "an archive with a pickle or an HDF5 model in it (as torch, joblib and keras write them)"
    return found


def _in_head(head: bytes, truncated: bool, depth: int = 0) -> str | None:
    if any(head[offset : offset + len(HDF5)] == HDF5 for offset in HDF5_OFFSETS):
        return "an HDF5 file (a keras model may hold code)"
    if NUMPY_OBJECTS.match(head):
        return "a numpy array of Python objects"
    if _is_pickle(head, truncated):
        return "a pickle"
    for magic, unpacker in UNPACKERS.items():
        if depth < 2 and head.startswith(magic):
            try:
                inner = unpacker().decompress(head, WINDOW)
            except (zlib.error, OSError, EOFError, lzma.LZMAError):
                return None
            found = _in_head(inner, True, depth + 1)
            return None if found is None else f"{found}, compressed"
    return None


def _is_pickle(head: bytes, truncated: bool) -> bool:
    """Read opcodes as the unpickler would: to its end, the end of the window, or foreign bytes after an import.

    Protocols 0 and 1 have no header and look like text: there, only what imports or memoizes counts.
    """
    binary = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    marks, seen = (IMPORTS if binary else TEXT_MARKS), False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # foreign bytes read as text hold odd escapes
            for opcode, argument, _ in pickletools.genops(io.BytesIO(head)):
                if opcode.name in ("GLOBAL", "INST") and not NAME.fullmatch(str(argument)):
                    return False
                seen = seen or opcode.name in marks
                if opcode.name == "STOP":
                    return binary or seen
    except ValueError as error:
        if truncated and any(sign in str(error) for sign in EXHAUSTED):
            return binary or seen
        return binary and seen
    return False
