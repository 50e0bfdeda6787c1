"""Checking a batch of recordings, against the least anyone must do: decode each file and take its sha256.

Target: at least 0.6 of that pace, per format, and memory that does not grow with the batch. The check also resamples,
measures level and silence, fingerprints sound and text for duplicates and leaks, and writes the 16 kHz dataset.
FLAC (0.66) and OGG (0.74) reach it, WAV does not (0.26): its decoding is a copy of memory, beside which a second
sha256, writing the dataset and the sound's fingerprint cannot be small. 10-second clips at 16 kHz, in the page cache;
one process, one thread; both sides read the same files in turn.

Learned: libsndfile syncs a file to the disk whenever it closes one it wrote; that was two thirds of a check. The
standard library's wave module writing to memory does not. A recording that is fine already is written anew all the
same: it leaves behind whatever else the contributor's file carried.
"""

import csv
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np
import soundfile
from alternate import alternate, show
from scipy.signal import lfilter

from mlops_assets.families.speech import FAMILY

RATE, SECONDS = 16_000, 10
FORMATS = {"WAV": ".wav", "FLAC": ".flac", "OGG": ".ogg"}
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "hazel", "island", "juniper")


def batch(folder: Path, suffix: str, clips: int) -> Path:
    """Write a batch of `clips` different recordings: noise through a resonance, under a syllable-like envelope."""
    folder.mkdir()
    draw = np.random.default_rng(1)
    rows = []
    for at in range(clips):
        angle = draw.uniform(0.1, 1.0)
        wave = lfilter([1], [1, -1.9 * np.cos(angle), 0.9], draw.standard_normal(RATE * SECONDS))
        wave *= np.interp(np.arange(len(wave)), np.linspace(0, len(wave), 40), draw.uniform(0.05, 1, 40))
        soundfile.write(folder / f"{at}{suffix}", 0.3 * wave / np.abs(wave).max(), RATE)
        rows.append((f"{at}{suffix}", " ".join(draw.choice(WORDS, 20))))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "transcript"), *rows])
    return folder


def decode(folder: Path, suffix: str) -> None:
    """Do the least: read every file, hash its bytes, decode its samples."""
    for path in sorted(folder.glob(f"*{suffix}")):
        hashlib.sha256(path.read_bytes()).digest()
        soundfile.read(path, dtype="int16")


def check(folder: Path) -> int:
    """Check the batch as the platform does, into a folder of its own; return how many items it kept."""
    out = Path(tempfile.mkdtemp(dir=folder.parent))
    return FAMILY.check(folder, out, FAMILY.Config(), lambda _: None).kept


def peak_megabytes(folder: Path) -> float:
    """Return the peak memory of a process that checks a batch."""
    run = subprocess.run([sys.executable, __file__, "--peak", str(folder)], stdout=subprocess.PIPE, check=True)
    return float(run.stdout)


def own_peak() -> float:
    """Return this process's peak memory in MiB; what rusage says of a child counts its parent's on Linux."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def main(quick: bool, as_json: bool) -> None:
    """Compare per format, then batches of two sizes."""
    clips = 16 if quick else 64
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, suffix in FORMATS.items():
            folder = batch(Path(scratch, name), suffix, clips)
            assert check(folder) == clips
            figures[f"raw decode + sha256 / check, {name}"] = alternate(
                lambda folder=folder, suffix=suffix: decode(folder, suffix), lambda folder=folder: check(folder)
            )
        small, large = (batch(Path(scratch, f"{count}"), ".wav", count) for count in (clips // 4, clips * 4))
        figures["peak memory of a batch 16 times as large / small"] = peak_megabytes(large) / peak_megabytes(small)
    show(figures, as_json)


if __name__ == "__main__":
    if "--peak" in sys.argv:
        check(Path(sys.argv[-1]))
        print(own_peak())
    else:
        main("--quick" in sys.argv, "--json" in sys.argv)
