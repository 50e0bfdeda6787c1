"""Recordings made on the spot: a seeded, speech-like signal, so that every test has real files and none is stored."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile")

RATE = 16_000


def voice(seconds: float = 2.0, seed: int = 0, rate: int = RATE, level: float = 0.3) -> np.ndarray:
    """Return float samples in [-1, 1], shape (seconds * rate,): harmonics under a syllable-like envelope, and noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    syllables = max(2, int(seconds * 4))
    pitch = np.interp(time, np.linspace(0, seconds, syllables), rng.uniform(90, 220, syllables))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    weights = rng.uniform(0, 1, (syllables, 20))
    parts = [
        np.interp(time, np.linspace(0, seconds, syllables), weights[:, k]) * np.sin((k + 1) * phase) for k in range(20)
    ]
    gate = 0.3 + 0.7 * np.abs(np.sin(np.pi * time * rng.uniform(2, 4)))
    wave = gate * np.sum(parts, axis=0) + 0.01 * rng.standard_normal(len(time))
    return level * wave / np.abs(wave).max()


def write(path: Path, wave: np.ndarray, rate: int = RATE, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, subtype=subtype)
    return path


def manifest(folder: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = ("path", "transcript")) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([header, *rows])
    return folder
