"""Pictures for tests: a striped or dotted disc on a mottled ground, in another place and light each time."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"green": (70, 170, 60), "red": (190, 60, 50), "blue": (60, 80, 190)}
LABELS = tuple(COLOURS)


def disc(label: str, seed: int, size: int = 96) -> Image.Image:
    """Return one RGB picture of a class."""
    draw = np.random.default_rng([LABELS.index(label), seed])
    ground = draw.uniform(60, 200, (6, 6, 3)).astype(np.uint8)
    picture = np.asarray(Image.fromarray(ground).resize((size, size), Image.Resampling.BICUBIC), np.float64).copy()
    y, x = np.mgrid[:size, :size] / size
    centre, radius = draw.uniform(0.4, 0.6, 2), draw.uniform(0.25, 0.35)
    inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
    stripes = 25 * np.sin(40 * (x * draw.uniform(-1, 1) + y * draw.uniform(-1, 1)))
    picture[inside] = np.array(COLOURS[label]) + stripes[inside, None] + draw.normal(0, 8, (inside.sum(), 3))
    picture += draw.normal(0, 6, picture.shape)
    return Image.fromarray((picture * draw.uniform(0.85, 1.15)).clip(0, 255).astype(np.uint8))


def encoded(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """Return a picture as a file's bytes."""
    memory = io.BytesIO()
    picture.save(memory, form, **options)  # pyright: ignore[reportArgumentType]
    return memory.getvalue()


def put(folder: Path, name: str, data: bytes) -> Path:
    """Write a file of a batch."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def by_folder(folder: Path, seeds: Iterable[int], labels: Sequence[str] = LABELS, size: int = 96) -> Path:
    """Write a batch with a folder for each label."""
    for label in labels:
        for seed in seeds:
            put(folder, f"{label}/{seed}.png", encoded(disc(label, seed, size)))
    return folder


def manifest(folder: Path, rows: Iterable[Sequence[str]], columns: Sequence[str] = ("path", "label")) -> Path:
    """Write `manifest.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return folder
