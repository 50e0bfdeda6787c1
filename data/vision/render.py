"""Draw one picture of a mango, or of a leaf, from a few numbers: what a photograph of it in a packing house may show.

A mango is an ellipse with a shoulder, lit as a rounded body. Its skin goes from green over yellow to orange with
ripeness, from the shoulder to the tip; the blush of its variety is red whether it is ripe or not; lenticels show more
and the flanks fill out as it ripens; spots and wrinkles come with age. A leaf is long, veined, and green, yellow or
brown. Ground, light and camera change the colours once more, so that mean colour alone tells little.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

SIDE = 176
RAMP = np.array([0.0, 0.3, 0.5, 0.72, 1.0])
SKIN = np.array([[62, 108, 42], [116, 142, 50], [188, 168, 58], [228, 160, 52], [186, 112, 44]], float)
BLUSH = np.array([168, 48, 40], float)
SPOT = np.array([62, 40, 24], float)
LEAF = {"green": (64, 104, 44), "yellow": (176, 158, 62), "brown": (132, 92, 52)}
GROUNDS = {
    "board": ((150, 112, 76), 1.6, 0.18),
    "crate": ((176, 150, 108), 3.0, 0.25),
    "cloth": ((196, 192, 184), 0.8, 0.08),
    "grass": ((86, 112, 60), 1.2, 0.35),
    "steel": ((138, 142, 148), 2.5, 0.10),
    "paper": ((222, 218, 208), 1.0, 0.04),
    "earth": ((104, 82, 62), 1.0, 0.30),
    "net": ((150, 60, 52), 2.0, 0.30),
}
LIGHTS = {"neutral": (1.0, 1.0, 1.0), "warm": (1.10, 1.0, 0.85), "cool": (0.93, 1.0, 1.09), "shade": (0.76, 0.78, 0.83)}
WHITE = np.ones(3)


@dataclass(frozen=True)
class Session:
    """What the pictures of one photo session share: variety, ground, light and camera."""

    ground: str
    light: str
    blush: float
    hue: np.ndarray
    sun: np.ndarray
    softness: float
    noise: float


def session(draw: np.random.Generator, grounds: list[str], lights: list[str], camera: tuple[float, float]) -> Session:
    """Draw a session; `camera` is the largest blur in pixels and the largest noise in levels."""
    angle = draw.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(angle) * 0.6, np.sin(angle) * 0.6, draw.uniform(0.6, 1.0)])
    return Session(
        ground=str(draw.choice(grounds)),
        light=str(draw.choice(lights)),
        blush=float(draw.choice([0.0, 0.35, 0.75]) * draw.uniform(0.8, 1.2)),
        hue=draw.normal(1.0, 0.03, 3),
        sun=sun / np.linalg.norm(sun),
        softness=draw.uniform(0.2, camera[0]),
        noise=draw.uniform(1.0, camera[1]),
    )


def render(draw: np.random.Generator, shoot: Session, ripeness: float | None) -> np.ndarray:
    """Return uint8 pixels (176, 176, 3) of a mango with a ripeness in 0..1, or of a leaf for None."""
    picture = _ground(draw, shoot.ground)
    if draw.random() < 0.3:
        picture = _over(picture, *_leaf(draw, shoot, draw.uniform(0.16, 0.26), draw.uniform(-0.32, 0.32, 2)))
    place = draw.uniform(-0.07, 0.07, 2)
    if ripeness is None:
        colour, alpha = _leaf(draw, shoot, draw.uniform(0.30, 0.42), place)
    else:
        colour, alpha = _mango(draw, shoot, ripeness, draw.uniform(0.24, 0.34), place)
    shadow = gaussian_filter(np.roll(alpha, (6, 4), (0, 1)), 7)
    picture = _over(picture * (1 - 0.45 * shadow[..., None]), colour, alpha)
    return _photographed(draw, shoot, picture)


def _grid(place: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE - 0.5
    x, y = x - place[0], y - place[1]
    return x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)


def _over(picture: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return picture * (1 - alpha[..., None]) + colour * alpha[..., None]


def _clouds(draw: np.random.Generator, fields: int) -> np.ndarray:
    """Return smooth noise (SIDE, SIDE) of mean 0 and about unit size, with that many fields a side."""
    coarse = draw.standard_normal((fields, fields))
    return zoom(coarse, SIDE / fields, order=1, mode="nearest", grid_mode=True)[:SIDE, :SIDE]


def _ground(draw: np.random.Generator, kind: str) -> np.ndarray:
    colour, stretch, contrast = GROUNDS[kind]
    rough = draw.standard_normal((SIDE, SIDE))
    grain = gaussian_filter(rough, (0.7, 0.7 * stretch**2))
    grain /= grain.std()
    light = 1 + contrast * (0.45 * grain + 0.4 * _clouds(draw, 5))
    if kind in ("crate", "net"):
        across = np.cos(np.arange(SIDE) * 2 * np.pi / draw.uniform(18, 34) + draw.uniform(0, 6))
        light *= (1 - 0.25 * (across > 0.8))[:, None]
        light *= (1 - 0.25 * (np.roll(across, 9) > 0.9))[None] if kind == "net" else 1.0
    tint = np.array(colour) * draw.uniform(0.85, 1.15) * draw.normal(1, 0.03, 3)
    return light[..., None] * tint


def _mango(
    draw: np.random.Generator, shoot: Session, ripeness: float, scale: float, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    x, y = _grid(place, draw.uniform(0, 2 * np.pi))
    full = np.clip(ripeness + draw.normal(0, 0.08), 0, 1)
    x, y = x / (scale * draw.uniform(1.18, 1.36)), y / (scale * (0.78 + 0.16 * full + draw.normal(0, 0.03)))
    angle = np.arctan2(y, x)
    shoulder = (0.08 + 0.10 * full) * np.cos(angle - 0.9) + draw.uniform(-0.03, 0.05) * np.sin(3 * angle)
    distance = np.hypot(x, y) / (1 + shoulder)
    alpha = np.clip((1 - distance) * scale * SIDE + 0.5, 0, 1)
    along, body = np.clip(x, -1, 1), np.clip(1 - distance**2, 0, 1)
    local = ripeness - 0.14 * along * (1 - ripeness) + 0.05 * _clouds(draw, 6)
    skin = np.stack([np.interp(local, RAMP, SKIN[:, channel]) for channel in range(3)], -1) * shoot.hue
    blush = shoot.blush * np.clip(0.75 + 0.9 * along + 0.35 * _clouds(draw, 4) - 0.55, 0, 1)
    skin = _over(skin, BLUSH * np.ones_like(skin), np.clip(blush, 0, 0.9))
    skin *= (1 + 0.035 * draw.standard_normal((SIDE, SIDE)))[..., None]
    skin = _lenticels(draw, skin, 0.10 + 0.5 * min(full, 0.75))
    skin = _spots(draw, skin, body, max(0.0, ripeness - 0.62) * 46 + 1.0)
    wrinkles = max(0.0, full - 0.76) * 2.4
    return _lit(draw, shoot, skin, x, y, body, wrinkles), alpha


def _lenticels(draw: np.random.Generator, skin: np.ndarray, strength: float) -> np.ndarray:
    dots = np.zeros((SIDE, SIDE))
    dots[tuple(draw.integers(0, SIDE, (2, 420)))] = draw.uniform(0.4, 1.0, 420)
    dots = gaussian_filter(dots, 0.75) * 3.2 * strength
    return _over(skin, np.array([236, 214, 150]) * np.ones_like(skin), np.clip(dots, 0, 0.8))


def _spots(draw: np.random.Generator, skin: np.ndarray, body: np.ndarray, many: float) -> np.ndarray:
    """Put dark, ragged spots on the skin."""
    y, x = np.mgrid[:SIDE, :SIDE]
    rows, columns = np.nonzero(body > 0.1)
    ragged = 1 + 0.35 * gaussian_filter(draw.standard_normal((SIDE, SIDE)), 1.2) * 3
    for _ in range(draw.poisson(many)):
        at = draw.integers(len(rows))
        size = draw.gamma(2.0, 1.5) + 0.8
        near = np.hypot(x - columns[at], (y - rows[at]) * draw.uniform(0.7, 1.4)) / (size * ragged)
        skin = _over(skin, SPOT * np.ones_like(skin), np.clip(1.4 - near, 0, 1) * draw.uniform(0.45, 0.9))
    return skin


def _lit(
    draw: np.random.Generator,
    shoot: Session,
    skin: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    body: np.ndarray,
    wrinkles: float,
) -> np.ndarray:
    """Light a rounded body: diffuse light, a highlight, and what its wrinkles do to both."""
    height = np.sqrt(body)
    folds = gaussian_filter(draw.standard_normal((SIDE, SIDE)), (0.8, 3.0)) * 3.0 * wrinkles
    diffuse = np.clip(x * shoot.sun[0] + y * shoot.sun[1] + height * shoot.sun[2] + 0.16 * folds, 0, None)
    shine = np.clip(diffuse, 0, 1.2) ** 24 * draw.uniform(0.15, 0.5) * (1 - 0.6 * min(1.0, wrinkles * 2))
    return skin * (0.42 + 0.68 * diffuse)[..., None] + 235 * shine[..., None]


def _leaf(draw: np.random.Generator, shoot: Session, scale: float, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = _grid(place, draw.uniform(0, 2 * np.pi))
    x, y = x / (scale * 1.25), y / (scale * draw.uniform(0.42, 0.85))
    y = y + draw.uniform(-0.25, 0.25) * x**2
    edge = np.clip(1 - np.abs(x) ** 1.9, 0, None) ** 0.85 * (1 + 0.03 * np.sin(x * 40))
    alpha = np.clip((edge - np.abs(y)) * scale * SIDE * 0.6 + 0.5, 0, 1) * (np.abs(x) < 1)
    kind = draw.choice(["green", "yellow", "brown"], p=[0.62, 0.25, 0.13])
    colour = np.array(LEAF[str(kind)]) * shoot.hue * draw.uniform(0.85, 1.2)
    veins = np.cos((np.abs(y) * 1.1 - x) * 2 * np.pi * draw.uniform(4, 6)) ** 8
    rib = np.exp(-((y / 0.05) ** 2))
    light = 1 + 0.10 * veins + 0.30 * rib + 0.06 * _clouds(draw, 9) + 0.10 * np.sign(y) * draw.uniform(0.3, 1)
    leaf = light[..., None] * colour
    leaf = _spots(draw, leaf, alpha, draw.uniform(0, 4))
    return leaf * (0.80 + 0.25 * shoot.sun[2]), alpha


def _photographed(draw: np.random.Generator, shoot: Session, picture: np.ndarray) -> np.ndarray:
    """Apply light, lens and sensor."""
    cast = np.array(LIGHTS[shoot.light]) * draw.normal(1, 0.03, 3)
    x, y = _grid(np.zeros(2), 0.0)
    edge = 1 - draw.uniform(0.0, 0.5) * (x**2 + y**2)
    seen = picture * cast * draw.uniform(0.88, 1.12) * edge[..., None]
    seen = gaussian_filter(seen, (shoot.softness, shoot.softness, 0))
    seen += draw.standard_normal(seen.shape) * shoot.noise
    return seen.clip(0, 255).round().astype(np.uint8)
