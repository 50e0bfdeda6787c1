"""Turn untrusted recordings into 16 kHz mono samples, or say by number why not.

libsndfile returns fewer frames than a header promises without a word, reads formats nobody asked for, and turns a
small FLAC into gigabytes; so the container, the encoding, the promised length and the read length are checked here.
"""

import io
import struct
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from pydantic import JsonValue
from scipy.signal import resample_poly

from mlops_assets.families.speech.config import Config
from mlops_assets.families.speech.findings import refusal

RATE = 16_000
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus")
MAX_RATE = 192_000
_MAGIC = {b"RIFF": "WAV", b"RF64": "WAV", b"fLaC": "FLAC", b"OggS": "OGG"}
_FORMATS = {"WAV": ("WAV", "WAVEX", "RF64"), "FLAC": ("FLAC",), "OGG": ("OGG",)}
_SUBTYPES = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "VORBIS", "OPUS")
_WAV_TAGS = (0x0001, 0x0003, 0xFFFE)  # PCM, floats, and the extensible form, whose encoding is judged once it is open
_MOST_CHUNKS = 1_000
_FRAME = RATE // 20
_DC_LIMIT = 1e-3
_FULL_SCALE = 0.999
_OGG_TAIL = 65_536 + 300
_UNKNOWN_LENGTH = 0xFFFFFFFF


class Fault(Exception):
    """A recording that cannot be used: the code of the finding, and a detail for the contributor."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code} {detail}")


@dataclass(frozen=True)
class Clip:
    """A usable recording: int16 samples at 16 kHz, their envelope, seconds, seconds not silent, and flags."""

    samples: np.ndarray
    level: np.ndarray
    seconds: float
    voiced_seconds: float
    flags: tuple[str, ...]


def read_clip(path: Path, config: Config) -> Clip:
    """Decode one recording completely; raise Fault with the finding's code if it cannot be used.

    More than one channel is averaged, other rates are resampled, an offset above 0.001 of full scale is removed.
    At most `config.max_seconds` of audio are ever in memory.
    """
    return _clip(*_decoded(path, config), config)


def read_samples(path: Path) -> np.ndarray:
    """Return float32 samples in [-1, 1] at 16 kHz, shape (n,), of a file that was checked or not refused."""
    return _mono(*_decoded(path, None)).astype(np.float32) / np.float32(32_768)


def refuse(input: Path | JsonValue, config: Config) -> str:
    """Return why a recording cannot be predicted, "" if it can: it is decoded as `predict` would."""
    if not isinstance(input, Path):
        return refusal("SPC010", "the input must be a recording")
    try:
        _decoded(input, config)
    except Fault as fault:
        return refusal(fault.code, fault.detail)
    return ""


def write_samples(path: Path, samples: np.ndarray) -> None:
    """Write int16 samples as a 16 kHz mono WAV file.

    Not with libsndfile: it syncs every file it closes to the disk, which took longer than all the rest of a check.
    Nothing but samples is written, whatever else the contributor's file carried.
    """
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setparams((1, 2, RATE, len(samples), "NONE", ""))
        file.writeframesraw(samples.data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(memory.getbuffer())


def _decoded(path: Path, limits: Config | None) -> tuple[np.ndarray, int]:
    """Return all samples of a file, (frames, channels) of int16 or finite float32, and their rate."""
    import soundfile

    if path.stat().st_size == 0:
        raise Fault("SPC012", "0 bytes")
    container = _check_container(path)
    try:
        with soundfile.SoundFile(path) as file:
            _check_header(file, container)
            if limits is not None:
                _check_limits(file, limits)
            samples = file.read(file.frames, dtype="int16" if file.subtype == "PCM_16" else "float32", always_2d=True)
            frames, rate = file.frames, file.samplerate
    except soundfile.LibsndfileError as error:
        raise Fault("SPC014", str(error.error_string)) from error
    if len(samples) < frames:
        raise Fault("SPC013", f"{len(samples)} of {frames} frames")
    if samples.dtype == np.float32 and not (np.isfinite(samples.max()) and np.isfinite(samples.min())):
        raise Fault("SPC015")
    return samples, rate


def _clip(samples: np.ndarray, rate: int, config: Config) -> Clip:
    """Judge decoded samples, (frames, channels) of int16 or float32."""
    unit = 32_768 if samples.dtype == np.int16 else 1
    flags = ["SPC030"] if samples.shape[1] > 1 else []
    if _clipped(samples, unit) > config.clipped_share:
        flags.append("SPC031")
    pcm = _mono(samples, rate)
    level = envelope(pcm)
    loudest = float(level.max())
    if loudest < 10 ** (config.silence_dbfs / 20):
        raise Fault("SPC019", f"loudest 50 ms at {20 * np.log10(max(loudest, 1e-6)):.0f} dBFS")
    voiced = float(np.count_nonzero(level > loudest * 0.02)) * _FRAME / RATE
    seconds = len(pcm) / RATE
    return Clip(pcm, level, seconds, min(voiced, seconds), tuple(flags))


def _mono(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return decoded samples as int16 of one channel at 16 kHz, (n,), without an offset."""
    unit = 32_768 if samples.dtype == np.int16 else 1
    pcm = samples[:, 0]
    if unit == 1 or samples.shape[1] > 1 or rate != RATE:
        mono = pcm if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
        pcm = _pcm(_resample(mono.astype(np.float32, copy=False) * np.float32(32_768 / unit), rate))
    offset = float(pcm.mean(dtype=np.float32))
    return pcm if abs(offset) <= _DC_LIMIT * 32_768 else _pcm(pcm.astype(np.float32) - round(offset))


def _clipped(samples: np.ndarray, unit: int) -> float:
    """Return the share of samples at full scale."""
    limit = _FULL_SCALE * unit
    if max(float(samples.max()), -float(samples.min())) < limit:
        return 0.0
    return float(np.count_nonzero(samples >= limit) + np.count_nonzero(samples <= -limit)) / samples.size


def _pcm(samples: np.ndarray) -> np.ndarray:
    """Round samples in units of int16 to int16, in place where they can be."""
    rounded = np.rint(samples, out=samples)
    return np.clip(rounded, -32_768, 32_767, out=rounded).astype(np.int16)


def envelope(pcm: np.ndarray) -> np.ndarray:
    """Return the RMS around the mean of each 50 ms of int16 samples, in units of full scale; at least one value."""
    if len(pcm) < _FRAME:
        return np.array([pcm.std(dtype=np.float64) / 32_768])
    frames = pcm[: len(pcm) // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float32)
    power = np.einsum("ij,ij->i", frames, frames) / _FRAME - (frames @ np.full(_FRAME, 1 / _FRAME, np.float32)) ** 2
    return np.sqrt(np.maximum(power, 0)) / 32_768


def _resample(wave: np.ndarray, rate: int) -> np.ndarray:
    if rate == RATE:
        return wave
    common = np.gcd(rate, RATE)
    return resample_poly(wave, RATE // common, rate // common).astype(np.float32)


def _check_header(file: Any, container: str) -> None:
    if file.format not in _FORMATS[container]:
        raise Fault("SPC010", f"{file.format} inside")
    if file.subtype not in _SUBTYPES:
        raise Fault("SPC011", str(file.subtype))
    if file.frames <= 0:
        raise Fault("SPC012", "0 frames")


def _check_limits(file: Any, config: Config) -> None:
    if file.channels > config.max_channels:
        raise Fault("SPC016", f"{file.channels} channels")
    if not config.min_sample_rate <= file.samplerate <= MAX_RATE:
        raise Fault("SPC017", f"{file.samplerate} Hz")
    seconds = file.frames / file.samplerate
    if not config.min_seconds <= seconds <= config.max_seconds:
        raise Fault("SPC018", f"{seconds:.3g} s; kept are {config.min_seconds:g} to {config.max_seconds:g} s")


def _check_container(path: Path) -> str:
    """Compare magic bytes and promised lengths with what is there, before any decoder sees the file."""
    with path.open("rb") as file:
        container = _MAGIC.get(file.read(4))
        if container is None:
            raise Fault("SPC010", "unknown magic bytes")
        file.seek(0)
        if container == "WAV":
            _check_wav(file, path.stat().st_size)
        elif container == "OGG":
            file.seek(max(0, path.stat().st_size - _OGG_TAIL))
            tail = file.read()
            last = tail.rfind(b"OggS")
            if last < 0 or last + 5 >= len(tail) or not tail[last + 5] & 4:
                raise Fault("SPC013", "the last page of the stream is missing")
    return container


def _check_wav(file: IO[bytes], size: int) -> None:
    """Walk the RIFF chunks: format first, then a data chunk no longer than the file (RF64 keeps its length apart)."""
    riff = file.read(12)
    if len(riff) < 12 or riff[8:12] != b"WAVE":
        raise Fault("SPC010", "RIFF without WAVE")
    for _ in range(_MOST_CHUNKS):
        if len(head := file.read(8)) < 8:
            raise Fault("SPC013" if size > 44 else "SPC012", "no audio data")
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            if length == 0:
                raise Fault("SPC012", "0 frames")
            if length != _UNKNOWN_LENGTH and file.tell() + length > size:
                raise Fault("SPC013", f"{size - file.tell()} of {length} bytes of audio")
            return
        if name == b"fmt " and length >= 16:
            fields = file.read(16)
            if len(fields) == 16:
                _check_encoding(*struct.unpack("<HH", fields[:4]))
            length -= 16
        file.seek(length + length % 2, 1)
    raise Fault("SPC014", f"more than {_MOST_CHUNKS} chunks")


def _check_encoding(tag: int, channels: int) -> None:
    """Refuse what libsndfile would begin to decode while it opens the file (ADPCM)."""
    if tag not in _WAV_TAGS:
        raise Fault("SPC011", f"WAV format {tag:#06x}")
    if channels == 0:
        raise Fault("SPC014", "0 channels")
