"""What a small picture looks like in numbers: is it sharp, lit, and of the subject's colours at all?

All numbers are taken of the square picture that the model sees, so that they mean the same for a thumbnail and for a
photograph of twelve megapixels. Sharpness is the variance of the Laplacian of brightness (Pech-Pacheco et al., ICPR
2000). The colours are a heuristic: a picture whose middle holds hardly any of the subject's hues may show something
else, or be a photograph in odd light; it is flagged and kept.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from mlops_assets.families.vision.config import Config
from mlops_assets.families.vision.findings import Fault

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
GREYEST = 6
PALEST = 40
DARKEST = 20
BLACK, WHITE = 8.0, 250.0


@dataclass(frozen=True)
class Appearance:
    """Sharpness (variance), brightness (mean, 0-255), contrast (standard deviation), subject (share, 0-1)."""

    sharpness: float
    brightness: float
    contrast: float
    subject: float
    coloured: bool


def appearance(pixels: np.ndarray, config: Config) -> Appearance:
    """Measure uint8 pixels (size, size, 3)."""
    light = pixels @ LUMA
    middle = light[1:-1, 1:-1]
    laplacian = light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:] - 4 * middle
    thin = pixels[::4, ::4].astype(np.int16)
    return Appearance(
        sharpness=round(float(laplacian.var()), 2),
        brightness=round(float(light.mean()), 2),
        contrast=round(float(light.std()), 2),
        subject=round(_subject(pixels, config.subject_hues), 3) if config.subject_hues else 1.0,
        coloured=bool((thin.max(axis=2) - thin.min(axis=2)).max() > GREYEST),
    )


def flags(seen: Appearance, config: Config) -> list[str]:
    """Return the codes of what is wrong with a picture; raise Fault VIS017 where nothing can be seen."""
    if seen.sharpness < config.featureless_below or not BLACK <= seen.brightness <= WHITE:
        raise Fault("VIS017", f"sharpness {seen.sharpness:.1f}, brightness {seen.brightness:.0f}")
    found = {
        "VIS030": seen.sharpness < config.blurred_below,
        "VIS031": seen.brightness < config.dark_below,
        "VIS032": seen.brightness > config.bright_above,
        "VIS033": seen.contrast < config.flat_below,
        "VIS034": not seen.coloured,
        "VIS035": seen.subject < config.min_subject_share,
    }
    return [code for code, wrong in found.items() if wrong]


def _subject(pixels: np.ndarray, hues: tuple[tuple[float, float], ...]) -> float:
    """Return the share of the middle half whose hue is in a range, of pixels neither pale nor dark."""
    quarter = len(pixels) // 4
    middle = Image.fromarray(np.ascontiguousarray(pixels[quarter:-quarter:2, quarter:-quarter:2]))
    hue, saturation, value = np.moveaxis(np.asarray(middle.convert("HSV")), 2, 0)
    degrees = hue * (360 / 255)
    inside = np.logical_or.reduce([(degrees >= low) & (degrees <= high) for low, high in hues])
    return float((inside & (saturation >= PALEST) & (value >= DARKEST)).mean())
