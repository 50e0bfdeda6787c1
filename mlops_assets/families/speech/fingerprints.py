"""Find the same recording or the same sentence again, also after a re-encoding, another level or a small edit.

The audio hash is in the manner of Haitsma and Kalker (ISMIR 2002): signs of energy differences between neighbouring
bands and times, here over a fixed number of segments of the voiced part, so that clips of one length compare bit by
bit and level, sample rate and codec hardly matter.
"""

import base64
import hashlib
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

from mlops_assets.core.family import Leak
from mlops_assets.core.near_text import NearTexts
from mlops_assets.core.records.data import Item
from mlops_assets.families.speech.audio import RATE, envelope
from mlops_assets.families.speech.wer import normalise

SEGMENTS, BANDS = 33, 17
BITS = (SEGMENTS - 1) * (BANDS - 1)
NEAR_BITS = BITS * 9 // 32
LENGTH_TOLERANCE = 0.05
MIN_WORDS = 5
_SIZE = 512
_FRAMES = 4 * SEGMENTS
_SHIFTS, _SHIFT_SECONDS = 2, 0.05
_MOVES = sorted(product(range(-_SHIFTS, _SHIFTS + 1), repeat=2), key=lambda move: move != (0, 0))
_TAPER = np.hanning(_SIZE).astype(np.float32)
_EDGES = np.unique(np.geomspace(4, 120, BANDS + 1).round().astype(int))


def pcm_digest(pcm: np.ndarray) -> str:
    """Return the sha256 of int16 samples as little-endian bytes."""
    return hashlib.sha256(np.ascontiguousarray(pcm, "<i2").tobytes()).hexdigest()


def audio_hashes(pcm: np.ndarray, level: np.ndarray | None = None) -> tuple[str, str]:
    """Return the near-duplicate hash of int16 samples at 16 kHz, and the same of 24 parts that begin or end elsewhere.

    The hash is voiced seconds, ':' and 512 bits in hex. A trim, or a codec that loses a soft ending, moves the voiced
    part and with it every segment; the others, as base64, begin and end up to 0.1 s earlier and later. `level` is the
    samples' envelope, where the caller has it.
    """
    level = envelope(pcm) if level is None else level
    voiced = np.flatnonzero(level > level.max() * 0.05)
    step = RATE // 20
    start, end = (int(voiced[0]) * step, int(voiced[-1] + 1) * step) if len(pcm) > step else (0, len(pcm))
    length = max(min(end, len(pcm)) - start, _SIZE * 2)
    hop = max(1, (length - _SIZE) // _FRAMES)
    shift = max(1, round(_SHIFT_SECONDS * RATE / hop))
    margin = _SHIFTS * shift * hop
    part = np.pad(pcm, (margin, margin + _SIZE * 2))[start : start + length + 2 * margin]
    power = np.abs(np.asarray(fft.rfft(sliding_window_view(part, _SIZE)[::hop] * _TAPER, axis=1)))
    bands = np.add.reduceat(np.square(power, out=power), _EDGES[:-1], axis=1)[:, :BANDS]
    sums = np.concatenate([np.zeros((1, BANDS)), np.cumsum(bands, axis=0, dtype=np.float64)])
    first, last = _SHIFTS * shift, len(bands) - _SHIFTS * shift
    hashes = [_bits(sums, first + a * shift, last + b * shift) for a, b in _MOVES]
    shifted = base64.b64encode(b"".join(hashes[1:])).decode()
    return f"{(length if len(pcm) > step else len(pcm)) / RATE:.2f}:{hashes[0].hex()}", shifted


def _bits(sums: np.ndarray, first: int, last: int) -> bytes:
    """Return the hash of frames `first` to `last`, from the running sums of their energies by band; 0 for no frames."""
    cuts = np.linspace(first, max(first, last), SEGMENTS + 1).astype(int)
    energy = np.log(np.diff(sums[cuts], axis=0) + 1.0)
    return np.packbits(np.diff(np.diff(energy, axis=1), axis=0) > 0).tobytes()


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
        """Add a hash made by `audio_hashes`; positions count from 0 in the order of adding."""
        if self._count == len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
            self._words = np.concatenate([self._words, np.zeros_like(self._words)])
        self._lengths[self._count], self._words[self._count] = _parse(value)
        self._count += 1

    def near(self, value: str, shifted: str = "") -> list[int]:
        """Return the positions of all recordings of nearly the same length within `NEAR_BITS` bits, nearest first.

        With the `shifted` hashes of the one that is asked about, the nearest of them counts.
        """
        length, words = _parse(value)
        asked = np.concatenate(
            [words[None], np.frombuffer(base64.b64decode(shifted), np.uint64).reshape(-1, len(words))]
        )
        lengths = self._lengths[: self._count]
        slack = 0.1 + (2 * _SHIFTS * _SHIFT_SECONDS if shifted else 0.0)
        same = np.flatnonzero(np.abs(lengths - length) <= LENGTH_TOLERANCE * np.maximum(lengths, length) + slack)
        distance = np.bitwise_count(self._words[same][:, None] ^ asked).sum(axis=2).min(axis=1)
        order = np.argsort(distance, kind="stable")
        return [int(same[i]) for i in order if distance[i] <= NEAR_BITS]


def leaks(items: Sequence[Item], protected: Sequence[Item]) -> list[Leak]:
    """Return the items whose samples, sound or sentence are those of a protected item, or nearly.

    Sentences of five words or more count, by their normal form (`NearTexts`).
    """
    exact = {item.fingerprints["pcm"]: item.id for item in protected}
    sounds = AudioIndex([item.fingerprints["audio"] for item in protected])
    sentences = NearTexts([_sentence(item) for item in protected])
    found = []
    for item in items:
        if twin := exact.get(item.fingerprints["pcm"]):
            found.append(Leak(item=item.id, protected_item=twin, kind="exact"))
        elif near := sounds.near(item.fingerprints["audio"], item.fingerprints.get("shifted", "")):
            found.append(Leak(item=item.id, protected_item=protected[near[0]].id, kind="near"))
        elif (at := sentences.twin(_sentence(item))) is not None:
            found.append(Leak(item=item.id, protected_item=protected[at].id, kind="text"))
    return found


def _sentence(item: Item) -> str:
    """Return a transcript's normal form; nothing of one that is too short to be told from others."""
    text = normalise(str(item.target))
    return text if len(text.split()) >= MIN_WORDS else ""


def _parse(value: str) -> tuple[float, np.ndarray]:
    length, _, bits = value.partition(":")
    return float(length), np.frombuffer(bytes.fromhex(bits), np.uint64)
