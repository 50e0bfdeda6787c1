"""Find the same picture again, also after another encoding, another size, a little more light, or mirrored.

A picture's look is a small version of it, brightness in 16 x 16 and two colour differences in 8 x 8 fields, each
without its mean and scaled to a common length. More light moves the mean and stretches the rest; scaling and encoding
leave so small a version alone. Two pictures are nearly the same where the cosine of their looks is high.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from mlops_assets.core.family import Leak
from mlops_assets.core.records.data import Item

FINE, COARSE = 16, 8
LENGTH = FINE * FINE + 2 * COARSE * COARSE
COLOUR_SHARE = 0.5
NEAR, LEAKED = 0.99, 0.98
BLOCK = 512
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)


def pixel_digest(pixels: np.ndarray) -> str:
    """Return the sha256 of uint8 pixels."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def look(pixels: np.ndarray) -> str:
    """Return the look of uint8 pixels (size, size, 3) as 384 signed bytes in base64."""
    fine = np.asarray(Image.fromarray(pixels).resize((FINE, FINE), Image.Resampling.BOX), np.float32) @ _TO_YCC.T
    coarse = fine.reshape(COARSE, 2, COARSE, 2, 3).mean(axis=(1, 3))
    brightness, colours = fine[..., 0].ravel(), np.moveaxis(coarse[..., 1:], 2, 0).ravel()
    vector = np.concatenate([_unit(brightness), COLOUR_SHARE * _unit(colours)])
    return base64.b64encode((vector / np.abs(vector).max().clip(1e-6) * 127).round().astype(np.int8).tobytes()).decode()


def looks(items: Sequence[Item]) -> np.ndarray:
    """Return the looks of items as float32 rows of length one, shape (n, 384)."""
    rows = b"".join(base64.b64decode(item.fingerprints["look"]) for item in items)
    vectors = np.frombuffer(rows, np.int8).reshape(-1, LENGTH).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-6)


def mirrored(vectors: np.ndarray) -> np.ndarray:
    """Return the looks of the same pictures with left and right exchanged."""
    fine = vectors[:, : FINE * FINE].reshape(-1, FINE, FINE)[:, :, ::-1].reshape(-1, FINE * FINE)
    coarse = vectors[:, FINE * FINE :].reshape(-1, 2, COARSE, COARSE)[..., ::-1].reshape(-1, 2 * COARSE * COARSE)
    return np.concatenate([fine, coarse], axis=1)


def pairs(some: np.ndarray, others: np.ndarray, least: float) -> Iterator[tuple[int, int]]:
    """Yield (position in `some`, position in `others`) of looks at least that alike, in order of `some`, best first."""
    for start in range(0, len(some), BLOCK):
        alike = some[start : start + BLOCK] @ others.T
        for row in np.flatnonzero((alike >= least).any(axis=1)):
            for column in np.argsort(-alike[row], kind="stable"):
                if alike[row, column] < least:
                    break
                yield start + int(row), int(column)


def leaks(items: Sequence[Item], protected: Sequence[Item]) -> list[Leak]:
    """Return the items with the pixels or, mirrored too, nearly the look of a protected one.

    What would be kept in a batch may be too alike for an exam: a picture cropped by a thirtieth is at 0.98, two
    different ones of the rendered sets are below 0.96.
    """
    if not items or not protected:
        return []
    exact = {item.fingerprints["pixels"]: item.id for item in protected}
    guarded = looks(protected)
    twins: dict[int, int] = {}
    for item, other in pairs(looks(items), np.concatenate([guarded, mirrored(guarded)]), LEAKED):
        twins.setdefault(item, other % len(protected))
    found = []
    for position, item in enumerate(items):
        if twin := exact.get(item.fingerprints["pixels"]):
            found.append(Leak(item=item.id, protected_item=twin, kind="exact"))
        elif position in twins:
            found.append(Leak(item=item.id, protected_item=protected[twins[position]].id, kind="near"))
    return found


def _unit(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean()
    return centred / np.linalg.norm(centred).clip(1e-3)
