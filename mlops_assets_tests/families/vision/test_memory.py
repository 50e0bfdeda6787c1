"""Pictures made to take memory or time: of as many pixels as are allowed, in every form that is hungry, and beyond."""

import io
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from mlops_assets.families.vision.config import MAX_PIXELS
from mlops_assets_tests.families.vision.photographs import put

Image = pytest.importorskip("PIL.Image")
SIDE = int(MAX_PIXELS**0.5)
LIMIT_MB = 512

_REFUSE = """
import re, sys, time
from pathlib import Path
from mlops_assets.families.vision import FAMILY

config = FAMILY.Config.model_validate({"labels": ["a", "b"]})
for path in sys.argv[1:]:
    began = time.process_time()
    said = FAMILY.refuse(Path(path), config)
    print(f"{time.process_time() - began:.2f}", said)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def png(depth: int, colour: int, channels: int, *, more: bytes = b"") -> bytes:
    """A black PNG of the most pixels, in a few hundred kilobytes, with chunks before its pixels."""
    row = bytes((SIDE * channels * depth + 7) // 8 + 1)
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(row) for _ in range(SIDE)) + packer.flush()
    header = struct.pack(">IIBBBBB", SIDE, SIDE, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def turned() -> bytes:
    """EXIF data that asks for a turn by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))


def jpeg(scans: int) -> bytes:
    """A progressive JPEG whose last scan, of some dozens of bytes, is sent again and again."""
    memory = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(memory, "JPEG", progressive=True)
    whole = memory.getvalue()
    last = whole[whole.rfind(b"\xff\xda") : -2]
    return whole[:-2] + last * scans + whole[-2:]


def webp() -> bytes:
    memory = io.BytesIO()
    Image.new("RGBA", (SIDE, SIDE)).save(memory, "WEBP", lossless=True, method=0, quality=0)
    return memory.getvalue()


def refused(paths: list[Path]) -> tuple[list[str], int]:
    """Refuse or accept files in a process of its own; return what was said of each, and its peak memory in MB."""
    done = subprocess.run([sys.executable, "-c", _REFUSE, *map(str, paths)], capture_output=True, text=True, check=True)
    *lines, peak = done.stdout.splitlines()
    assert all(float(line.split()[0]) < 30 for line in lines), lines
    return [line.partition(" ")[2] for line in lines], int(peak) // 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's own peak from /proc")
def test_the_largest_pictures_are_read_within_the_limit(tmp_path: Path) -> None:
    made = {
        "grey of 16 bits": png(16, 0, 1),
        "grey with transparency": png(8, 4, 2),
        "turned, with transparency": png(8, 6, 4, more=turned()),
        "webp": webp(),
        "jpeg": jpeg(0),
    }
    said, peak = refused([put(tmp_path, name, data) for name, data in made.items()])
    assert said == [""] * len(made)
    assert peak < LIMIT_MB


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's own peak from /proc")
def test_a_few_bytes_more_are_no_hour_more(tmp_path: Path) -> None:
    """Each scan of a progressive JPEG is one more pass over all pixels; each chunk and marker a step in Python."""
    plain = jpeg(0)
    markers = plain[:2] + b"\xff\xe5\0\2" * 100_000 + plain[2:]
    made = {"scans": jpeg(20_000), "chunks": png(1, 0, 1, more=chunk(b"abCd", b"") * 100_000), "markers": markers}
    said, peak = refused([put(tmp_path, name, data) for name, data in made.items()])
    assert re.fullmatch(r"Picture cannot be decoded completely \(VIS012\): 200\d\d scans\.", said[0])
    assert said[1:] == ["", ""]
    assert peak < LIMIT_MB
