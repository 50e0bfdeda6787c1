"""Turn untrusted picture files into small square RGB pictures, or say by number why not.

Pillow decodes formats nobody asked for, takes a small PNG for a hundred million pixels, and opens a picture long
before it has found out that half of it is missing; so formats are listed, the header is judged before a pixel is
decoded, and every picture is decoded to its end. JPEG decodes straight to about the size that is wanted; a few bytes
are one more scan over all of its pixels, so scans are counted first.

The middle square is kept and scaled to the model's size. Serving uses the same function: what is trained on and what
is predicted on went the same way.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import JsonValue

from mlops_assets.families.vision.config import MAX_PIXELS, Config
from mlops_assets.families.vision.findings import Fault, refusal

FORMATS = ("JPEG", "PNG", "WEBP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
ORIENTATION = 0x0112
PNG = b"\x89PNG\r\n\x1a\n"
_SCAN, _MOST_SCANS = b"\xff\xda", 100
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, OverflowError, struct.error, zlib.error)


@dataclass(frozen=True)
class Picture:
    """A usable picture: uint8 `pixels` (size, size, 3), the sides it came with, and flags of its conversion."""

    pixels: np.ndarray
    width: int
    height: int
    flags: tuple[str, ...]


def read_picture(path: Path, size: int, *, max_pixels: int = MAX_PIXELS, min_side: int = 1) -> Picture:
    """Decode one picture completely and return its middle square, `size` pixels a side.

    Raises Fault: VIS010 for another format, VIS011 empty, VIS012 damaged, VIS013 to VIS015 for the header's numbers.
    """
    if path.stat().st_size == 0:
        raise Fault("VIS011")
    with _opened(path) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise Fault("VIS013", f"{width} x {height}")
        if min(width, height) < min_side:
            raise Fault("VIS015", f"{width} x {height}")
        if getattr(image, "is_animated", False) and image.format != "MPO":
            raise Fault("VIS014")
        if image.format in ("JPEG", "MPO"):
            if (scans := path.read_bytes().count(_SCAN)) > _MOST_SCANS:
                raise Fault("VIS012", f"{scans} scans")
            image.draft(None, (size, size))
        image.load()
        turned, flags = _turned(image), []
        if min(width, height) == 0:
            raise Fault("VIS015")
        small = _square(_converted(turned, flags), size, flags)
    return Picture(np.asarray(small), *_sides(image, width, height), tuple(flags))


def refuse(input: Path | JsonValue, config: Config) -> str:
    """Return why a picture cannot be predicted, "" if it can: it is decoded as `predict` would."""
    if not isinstance(input, Path):
        return refusal("VIS010", "the input must be a picture")
    try:
        read_picture(input, config.size, max_pixels=config.max_pixels)
    except Fault as fault:
        return refusal(fault.code, fault.detail)
    return ""


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 pixels (size, size, 3) as a PNG file without anything else in it.

    Not with Pillow: it tries five filters for every row, which took a third of a whole check. One filter (the
    difference to the pixel on the left) in run lengths makes files a tenth larger in half the time (RFC 2083).
    """
    height, width, _ = pixels.shape
    flat = pixels.reshape(height, -1)
    rows = np.ones((height, 1 + flat.shape[1]), np.uint8)
    rows[:, 1:4], rows[:, 4:] = flat[:, :3], flat[:, 3:] - flat[:, :-3]
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = (
        _chunk(b"IHDR", header)
        + _chunk(b"IDAT", packer.compress(rows.tobytes()) + packer.flush())
        + _chunk(b"IEND", b"")
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PNG + body)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture; whatever goes wrong until it is closed becomes a Fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=FORMATS) as image:
                yield image
        except UnidentifiedImageError:
            raise Fault("VIS010") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise Fault("VIS013") from None
        except _BROKEN as error:
            raise Fault("VIS012", str(error)) from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except (*_BROKEN, TypeError):
        return 1


def _turned(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _sides(image: Image.Image, width: int, height: int) -> tuple[int, int]:
    return (height, width) if _orientation(image) >= 5 else (width, height)


def _converted(image: Image.Image, flags: list[str]) -> Image.Image:
    """Return the picture as RGB, RGBA, L or CMYK, which can be scaled as they are."""
    if image.mode in ("RGB", "RGBA", "L"):
        return image
    if image.mode.startswith("I"):
        flags.append("VIS036")
        bands = np.array_split(np.asarray(image), 16)
        return Image.fromarray(np.concatenate([(band.clip(0, 65_535) >> 8).astype(np.uint8) for band in bands]))
    if image.mode in ("1", "LA"):
        return image.convert("L" if image.mode == "1" else "RGBA")
    flags.append("VIS036")
    return image if image.mode == "CMYK" else image.convert("RGBA" if image.has_transparency_data else "RGB")


def _square(image: Image.Image, size: int, flags: list[str]) -> Image.Image:
    """Return the middle square of a picture as RGB."""
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    if image.size == (size, size):
        small = image
    else:
        small = image.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    if small.mode != "RGBA":
        return small.convert("RGB")
    lowest = small.getchannel("A").getextrema()[0]
    if isinstance(lowest, (int, float)) and lowest < 255:
        flags.append("VIS037")
    white = Image.new("RGBA", small.size, "white")
    white.alpha_composite(small)
    return white.convert("RGB")
