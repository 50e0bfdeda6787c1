"""A dataset as training sees it: pixels, classes and what each picture counts, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlops_assets.core.dataset import read_items
from mlops_assets.core.records.data import Item
from mlops_assets.families.vision.config import Config
from mlops_assets.families.vision.pictures import read_picture


@dataclass(frozen=True)
class Pictures:
    """Pictures uint8 (n, size, size, 3), their classes (n,) and what each counts (n,)."""

    pixels: np.ndarray
    classes: np.ndarray
    weights: np.ndarray


def read_known(folder: Path, config: Config) -> list[Item]:
    """Return the items of a dataset; those replayed from a time when the line had other labels are left out."""
    return [item for item in read_items(folder) if item.target in config.labels]


def balanced(classes: np.ndarray, count: int) -> np.ndarray:
    """Return what each item counts so that classes count alike: n / (classes present * n of its class)."""
    sizes = np.bincount(classes, minlength=count)
    return (len(classes) / (np.count_nonzero(sizes) * sizes[classes])).astype(np.float32)


def read_pictures(folder: Path, items: Sequence[Item], config: Config) -> Pictures:
    """Read the pictures of a dataset."""
    shape = (config.size, config.size, 3)
    pixels = np.stack([read_picture(folder / str(item.path), config.size).pixels for item in items]) if items else None
    classes = np.array([config.labels.index(str(item.target)) for item in items], np.int32)
    weights = np.ones(len(items), np.float32)
    if items and config.class_weights == "balanced":
        weights = balanced(classes, len(config.labels))
    return Pictures(np.empty((0, *shape), np.uint8) if pixels is None else pixels, classes, weights)


def calibration(pictures: Pictures, config: Config) -> np.ndarray:
    """Return pictures to measure INT8 ranges with: class by class in turn, in the order of the dataset."""
    rank = np.zeros(len(pictures.classes), int)
    for label in range(len(config.labels)):
        own = pictures.classes == label
        rank[own] = np.arange(own.sum())
    return pictures.pixels[np.argsort(rank, kind="stable")[: config.calibration_items]]
