"""What a gateway is sent by mistake or in malice, whatever the family: JSON values, and files of all kinds.

Made with the standard library alone, so that the families whose packages are absent are held to it, too.
"""

import io
import math
import struct
import wave
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue


def _deep(levels: int) -> JsonValue:
    value: JsonValue = "bottom"
    for _ in range(levels):
        value = [value]
    return value


VALUES: Mapping[str, JsonValue] = {
    "null": None,
    "true": True,
    "a number": 7,
    "a huge number": 10**400,
    "no number": math.nan,
    "infinity": math.inf,
    "an empty text": "",
    "blanks": " \t\n\u3000",
    "a text": "hello there",
    "a path": "/etc/hostname",
    "a NUL": "hello \x00 there",
    "half a surrogate pair": "hello \ud800",
    "direction overrides": "abc \u202e cba",
    "a long text": "word " * 400_000,
    "one long word": "x" * 1_000_000,
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467" * 50,
    "an empty list": [],
    "a list": [1.0, 2.0, 3.0],
    "a nested list": _deep(900),
    "an empty object": {},
    "another product's object": {"temperature": 3, "unit": "C"},
    "an object of objects": {"type": {"$gt": ""}, "user": ["a"], "bars": {"a": 1}},
    "numbers where texts belong": {"type": 5, "user": 6, "bars": 4},
    "texts where numbers belong": {"type": "chords", "bars": "4"},
    "a number that is none": {"type": "chords", "bars": math.nan},
    "long names": {"type": "x" * 100_000, "bars": 4},
    "control characters": {"type": "cho\x00rds", "user": "u"},
}


def sound(seconds: float = 1.0) -> bytes:
    """Return a WAV file: a saw-tooth of 16-bit samples, 16 kHz."""
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<h", at % 160 * 100 - 8_000) for at in range(int(16_000 * seconds))))
    return memory.getvalue()


def picture(width: int = 96, height: int = 96, *, said: tuple[int, int] | None = None) -> bytes:
    """Return a grey PNG file; `said` are the sides that its header claims."""
    rows = zlib.compress(b"".join(b"\0" + bytes(x * y % 251 for x in range(width)) for y in range(height)))
    header = struct.pack(">IIBBBBB", *(said or (width, height)), 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def _zip() -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as file:
        file.writestr("a.wav", sound())
    return memory.getvalue()


def files() -> dict[str, bytes]:
    """Return files by what they are."""
    wav, png = sound(), picture()
    return {
        "nothing": b"",
        "zeros": bytes(4096),
        "a letter": b"this is a letter",
        "a web page": b"<html><body>404</body></html>",
        "a vector graphic": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "an archive": _zip(),
        "an executable": b"\x7fELF\x02\x01\x01" + bytes(64),
        "a recording": wav,
        "half a recording": wav[: len(wav) // 2],
        "the head of a recording": wav[:44],
        "a recording without channels": wav[:22] + bytes(2) + wav[24:],
        "a recording in ADPCM": wav[:20] + b"\x11\0" + wav[22:],
        "a recording of no rate": wav[:24] + bytes(4) + wav[28:],
        "a recording of four thousand million samples a second": wav[:24] + b"\xff" * 4 + wav[28:],
        "a recording that promises more": wav[:40] + b"\xf0\xff\xff\x7f" + wav[44:],
        "other magic bytes of audio": b"fLaC" + bytes(100),
        "a stream that never begins": b"OggS" + bytes(22) + b"\xff" * 300,
        "a picture": png,
        "half a picture": png[: len(png) // 2],
        "a picture of one pixel": picture(1, 1),
        "a picture of a thousand million pixels": picture(said=(32_000, 32_000)),
        "a picture without width": picture(said=(0, 32)),
        "other magic bytes of pictures": b"\xff\xd8\xff\xe0" + bytes(100),
        "a moving picture": b"GIF89a" + bytes(100),
    }


def damaged(data: bytes) -> dict[str, bytes]:
    """Return a file cut short in several places, and with bytes changed from its head to its end."""
    size = len(data)
    cut = {f"cut at {at}": data[:at] for at in sorted({3, 12, 30, 43, size // 3, size // 2, size - 1})}
    for at in sorted({*range(0, min(size, 64), 5), size // 2, size - 5}):
        for byte in (0x00, 0xFF, data[at] ^ 0x80):
            cut[f"byte {at} is {byte:#x}"] = data[:at] + bytes([byte]) + data[at + 1 :]
    return cut


def written(folder: Path, made: Mapping[str, bytes]) -> dict[str, Path]:
    """Write files without a suffix, as a gateway does that only knows their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for number, (name, data) in enumerate(made.items()):
        paths[name] = folder / str(number)
        paths[name].write_bytes(data)
    return paths
