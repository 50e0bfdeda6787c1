"""Find the same recording or the same sentence again, also after a re-encoding, another level or a small edit.

The audio hash is in the manner of Haitsma and Kalker (ISMIR 2002): signs of energy differences between neighbouring
bands and times, here over a fixed number of segments of the voiced part, so that clips of one length compare bit by
bit and level, sample rate and codec hardly matter.
"""

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

from mlops_assets.core.family import Leak
from mlops_assets.core.records import Item
from mlops_assets.families.speech.audio import RATE, envelope
from mlops_assets.families.speech.wer import normalise

SEGMENTS, BANDS = 33, 17
BITS = (SEGMENTS - 1) * (BANDS - 1)
NEAR_BITS = BITS // 5
LENGTH_TOLERANCE = 0.05
MIN_WORDS = 5
NEAR_TEXT = 0.8
_SIZE = 512
_FRAMES = 4 * SEGMENTS
_TAPER = np.hanning(_SIZE).astype(np.float32)
_EDGES = np.unique(np.geomspace(4, 120, BANDS + 1).round().astype(int))


def pcm_digest(pcm: np.ndarray) -> str:
    """Return the sha256 of int16 samples as little-endian bytes."""
    return hashlib.sha256(np.ascontiguousarray(pcm, "<i2").tobytes()).hexdigest()


def audio_hash(pcm: np.ndarray, level: np.ndarray | None = None) -> str:
    """Return the near-duplicate hash of int16 samples at 16 kHz: voiced seconds, ':' and 512 bits in hex.

    `level` is their envelope, where the caller has it.
    """
    level = envelope(pcm) if level is None else level
    voiced = np.flatnonzero(level > level.max() * 0.05)
    step = RATE // 20
    part = pcm[voiced[0] * step : (voiced[-1] + 1) * step] if len(pcm) > step else pcm
    if len(part) < _SIZE * 2:
        part = np.pad(part, (0, _SIZE * 2 - len(part)))
    hop = max(1, (len(part) - _SIZE) // _FRAMES)
    power = np.abs(np.asarray(fft.rfft(sliding_window_view(part, _SIZE)[::hop] * _TAPER, axis=1)))
    bands = np.add.reduceat(np.square(power, out=power), _EDGES[:-1], axis=1)[:, :BANDS]
    cuts = np.linspace(0, len(bands), SEGMENTS + 1).astype(int)
    energy = np.log(np.add.reduceat(bands, cuts[:-1], axis=0) + 1.0)
    bits = np.diff(np.diff(energy, axis=1), axis=0) > 0
    return f"{len(part) / RATE:.2f}:{np.packbits(bits).tobytes().hex()}"


def text_hash(text: str) -> str:
    """Return the sha256 of a transcript's normal form."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()


class AudioIndex:
    """Hashes of recordings, to be asked for one that nearly equals another."""

    def __init__(self, hashes: Sequence[str] = ()) -> None:
        self._lengths = np.zeros(64)
        self._words = np.zeros((64, BITS // 64), np.uint64)
        self._count = 0
        for value in hashes:
            self.add(value)

    def add(self, value: str) -> None:
        """Add a hash made by `audio_hash`; positions count from 0 in the order of adding."""
        if self._count == len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
            self._words = np.concatenate([self._words, np.zeros_like(self._words)])
        self._lengths[self._count], self._words[self._count] = _parse(value)
        self._count += 1

    def near(self, value: str) -> list[int]:
        """Return the positions of all recordings of nearly the same length within `NEAR_BITS` bits, nearest first."""
        length, words = _parse(value)
        lengths = self._lengths[: self._count]
        same = np.flatnonzero(np.abs(lengths - length) <= LENGTH_TOLERANCE * np.maximum(lengths, length) + 0.1)
        distance = np.bitwise_count(self._words[same] ^ words).sum(axis=1)
        order = np.argsort(distance, kind="stable")
        return [int(same[i]) for i in order if distance[i] <= NEAR_BITS]


def leaks(items: Sequence[Item], protected: Sequence[Item]) -> list[Leak]:
    """Return the items whose samples, sound or sentence (of five or more words) are those of a protected item.

    Sentences count as the same when the Jaccard index of their word pairs and words is at least 0.8.
    """
    exact = {item.fingerprints["pcm"]: item.id for item in protected}
    sounds = AudioIndex([item.fingerprints["audio"] for item in protected])
    sentences = _Sentences(protected)
    found = []
    for item in items:
        if twin := exact.get(item.fingerprints["pcm"]):
            found.append(Leak(item=item.id, protected_item=twin, kind="exact"))
        elif near := sounds.near(item.fingerprints["audio"]):
            found.append(Leak(item=item.id, protected_item=protected[near[0]].id, kind="near"))
        elif twin := sentences.same(str(item.target)):
            found.append(Leak(item=item.id, protected_item=twin, kind="text"))
    return found


class _Sentences:
    """Protected sentences by their shingles, so that each question looks only at those that share one."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._ids: list[str] = []
        self._shingles: list[frozenset[str]] = []
        self._by_shingle: dict[str, list[int]] = {}
        for item in items:
            shingles = _shingles(str(item.target))
            if shingles:
                for shingle in shingles:
                    self._by_shingle.setdefault(shingle, []).append(len(self._ids))
                self._ids.append(item.id)
                self._shingles.append(shingles)

    def same(self, text: str) -> str | None:
        """Return the id of a protected item with the same or nearly the same sentence."""
        shingles = _shingles(text)
        shared: dict[int, int] = {}
        for shingle in shingles:
            for position in self._by_shingle.get(shingle, ()):
                shared[position] = shared.get(position, 0) + 1
        for position, count in sorted(shared.items(), key=lambda pair: -pair[1]):
            if count / (len(shingles) + len(self._shingles[position]) - count) >= NEAR_TEXT:
                return self._ids[position]
        return None


def _shingles(text: str) -> frozenset[str]:
    words = normalise(text).split()
    if len(words) < MIN_WORDS:
        return frozenset()
    return frozenset(words) | frozenset(" ".join(pair) for pair in pairwise(words))


def _parse(value: str) -> tuple[float, np.ndarray]:
    length, _, bits = value.partition(":")
    return float(length), np.frombuffer(bytes.fromhex(bits), np.uint64)
