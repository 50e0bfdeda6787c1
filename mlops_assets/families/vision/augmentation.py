"""Other views of a picture: turned, nearer or farther, shifted, mirrored, in a little more or less light.

A view is a function of seed, pass and picture alone, so a training that resumes sees the same ones. Hue stays as it
is: colour is what ripeness is read from.
"""

import numpy as np
from PIL import Image

from mlops_assets.families.vision.config import Config

MIDDLE = 128.0


def views(pictures: np.ndarray, indices: np.ndarray, config: Config, *key: int) -> np.ndarray:
    """Return one view of each of the chosen pictures, uint8 (n, size, size, 3); `key` names seed and pass."""
    return np.stack([view(pictures[i], config, np.random.default_rng([*key, int(i)])) for i in indices])


def view(pixels: np.ndarray, config: Config, draw: np.random.Generator) -> np.ndarray:
    """Return a random view of uint8 pixels (size, size, 3)."""
    size = len(pixels)
    turn = np.deg2rad(draw.uniform(-config.rotation, config.rotation))
    scale = 1 + draw.uniform(-config.zoom, config.zoom)
    shift = draw.uniform(-config.shift, config.shift, 2) * size
    mirror = -1.0 if config.mirror and draw.random() < 0.5 else 1.0
    brightness, contrast = 1 + draw.uniform(-config.light, config.light, 2)
    cosine, sine, half = np.cos(turn) * scale, np.sin(turn) * scale, (size - 1) / 2
    a, b, d, e = mirror * cosine, mirror * -sine, sine, cosine
    c, f = half - a * half - b * half + shift[0], half - d * half - e * half + shift[1]
    padded = np.pad(pixels, ((size // 2,) * 2, (size // 2,) * 2, (0, 0)), mode="reflect")
    image = Image.fromarray(padded)
    offset = size // 2
    moved = image.transform(
        (size, size),
        Image.Transform.AFFINE,
        (a, b, c + offset, d, e, f + offset),
        Image.Resampling.BILINEAR,
    )
    table = np.clip((np.arange(256) * brightness - MIDDLE) * contrast + MIDDLE, 0, 255).round().astype(np.uint8)
    return table[np.asarray(moved)]
