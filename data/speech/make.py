"""Make the committed synthetic speech sets: golden, sealed and four sample batches, spoken by espeak-ng and flite.

Everything is drawn from `recipe.toml` and its seed, so the same tools give the same bytes; `digests.json` keeps
the digests and the versions of the tools that made them. Users need none of these tools: the result is committed.

    python -m data.speech.make            write data/golden/speech[-sealed] and data/samples/speech
    python -m data.speech.make --check    make them again elsewhere and compare; exit 3 if the tools differ
"""

import io
import platform
import random
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from data.making import csv_text, json_lines, run, write_folder, write_zip
from mlops_assets.core.digests import sha256_file, sha256_folder

HERE = Path(__file__).parent
RATE = 16_000
PEAK = 0.7
SHORTEST, LONGEST = 1.5, 6.0
FOLDERS = {"golden": "golden/speech", "sealed": "golden/speech-sealed"}
BATCHES = ("good", "wrong-transcripts", "small", "broken")
OGG_SERIAL = 1
OGG_COMPRESSION = 0.9
MOST_DRAWS = 50


@dataclass(frozen=True)
class Utterance:
    """One spoken sentence: float64 `samples` in [-1, 1] at 16 kHz, mono."""

    name: str
    transcript: str
    speaker: str
    template: int
    samples: np.ndarray
    format: str

    @property
    def path(self) -> str:
        """Where the file lies in its set."""
        return f"audio/{self.name}.{self.format}"


def tools() -> dict[str, str]:
    """Return the versions that decide the bytes."""
    import scipy
    import soundfile

    missing = [name for name in ("espeak-ng", "flite") if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"{' and '.join(missing)} not found. On Debian: apt-get install espeak-ng flite")
    espeak = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True).stdout
    flite = subprocess.run(["flite", "--version"], capture_output=True, text=True, check=False).stdout
    return {
        "espeak-ng": espeak.split(":")[1].split()[0],
        "flite": next(word for word in flite.split() if word.startswith("flite-")),
        "libsndfile": soundfile.__libsndfile_version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
    }


def speak(voice: str, text: str) -> np.ndarray:
    """Speak `text`; return float64 samples at 16 kHz, peak at 0.7."""
    import soundfile
    from scipy.signal import resample_poly

    engine, name, *settings = voice.split(":")
    with tempfile.TemporaryDirectory() as folder:
        wav = f"{folder}/speech.wav"
        if engine == "flite":
            command = ["flite", "-voice", name, "-t", text, "-o", wav]
        else:
            speed, pitch = settings
            command = ["espeak-ng", "-v", name, "-s", speed, "-p", pitch, "-w", wav, text]
        subprocess.run(command, check=True, capture_output=True)
        samples, rate = soundfile.read(wav, dtype="float64")
    if rate != RATE:
        samples = resample_poly(samples, RATE, rate)
    return samples * (PEAK / np.abs(samples).max())


def sentences(recipe: dict[str, Any], name: str) -> list[tuple[int, str]]:
    """Draw the distinct sentences of a set, as (template, text), templates taking turns."""
    chosen, drawn = recipe["sets"][name], random.Random(f"{recipe['seed']}/{name}")
    texts: dict[str, int] = {}
    for _ in range(MOST_DRAWS * chosen["count"]):
        if len(texts) == chosen["count"]:
            break
        template = len(texts) % len(chosen["templates"])
        slots = {slot: drawn.choice(words) for slot, words in recipe["slots"].items()}
        other = [word for word in recipe["slots"]["variety"] if word != slots["variety"]]
        text = chosen["templates"][template].format(**slots, variety2=drawn.choice(other))
        text = text.replace("A orange", "An orange").replace("a orange", "an orange")
        texts.setdefault(text[0].upper() + text[1:], template)
    else:
        raise SystemExit(f"The templates of {name!r} cannot make {chosen['count']} sentences: change recipe.toml")
    return [(template, text) for text, template in texts.items()]


def utterances(recipe: dict[str, Any], name: str) -> list[Utterance]:
    """Speak a whole set; every voice speaks about the same number of sentences, of different templates."""
    chosen, drawn = recipe["sets"][name], random.Random(f"{recipe['seed']}/{name}/voices")
    voices = [chosen["voices"][i % len(chosen["voices"])] for i in range(chosen["count"])]
    drawn.shuffle(voices)
    spoken = []
    texts = sentences(recipe, name)
    for i, (voice, (template, text)) in enumerate(zip(track(voices, name), texts, strict=True)):
        samples = speak(voice, text)
        if not SHORTEST <= len(samples) / RATE <= LONGEST:
            raise SystemExit(f"{voice} takes {len(samples) / RATE:.1f} s for {text!r}: change recipe.toml")
        speaker = voice.split(":")[1].replace("+", "-").replace(" ", "-").lower()
        form = chosen["formats"][i % len(chosen["formats"])]
        spoken.append(Utterance(f"{chosen['prefix']}{i:03}", text, speaker, template, samples, form))
    return spoken


def encode(samples: np.ndarray, form: str, subtype: str | None = None) -> bytes:
    """Encode samples (frames,) or (frames, channels) as a file's bytes, the same bytes every time."""
    import soundfile

    subtype = subtype or {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS"}[form]
    file = io.BytesIO()
    squeeze = OGG_COMPRESSION if form == "ogg" else None
    soundfile.write(file, samples, RATE, format=form.upper(), subtype=subtype, compression_level=squeeze)
    return fixed_serial(file.getvalue()) if form == "ogg" else file.getvalue()


def float_wav(samples: np.ndarray) -> bytes:
    """Encode 32-bit float samples, which libsndfile would stamp with the time of day."""
    from scipy.io import wavfile

    file = io.BytesIO()
    wavfile.write(file, RATE, samples.astype(np.float32))
    return file.getvalue()


def fixed_serial(ogg: bytes) -> bytes:
    """Replace the random stream serial number in every Ogg page, and the page's checksum (RFC 3533, section 6)."""
    pages, start = [], 0
    while start < len(ogg):
        segments = ogg[start + 26]
        end = start + 27 + segments + sum(ogg[start + 27 : start + 27 + segments])
        page = bytearray(ogg[start:end])
        page[14:18] = OGG_SERIAL.to_bytes(4, "little")
        page[22:26] = bytes(4)
        page[22:26] = ogg_checksum(page).to_bytes(4, "little")
        pages.append(bytes(page))
        start = end
    return b"".join(pages)


def ogg_checksum(page: bytes | bytearray) -> int:
    """CRC-32 with generator 0x04c11db7, not reflected, from zero (RFC 3533, section 6)."""
    crc = 0
    for byte in page:
        crc = (crc << 8) & 0xFFFFFFFF ^ OGG_TABLE[crc >> 24 ^ byte]
    return crc


def _ogg_table() -> list[int]:
    table = []
    for crc in range(256):
        crc <<= 24
        for _ in range(8):
            crc = (crc << 1) ^ (0x04C11DB7 if crc & 0x80000000 else 0)
        table.append(crc & 0xFFFFFFFF)
    return table


OGG_TABLE = _ogg_table()


def shuffled(items: list[Utterance]) -> list[Utterance]:
    """Give every recording another's transcript, of another template and a similar length, so that only ears can tell.

    Recordings are sorted by duration and each takes its text from a near neighbour, so speech rates stay ordinary.
    """
    ordered = sorted(items, key=lambda item: (len(item.samples), item.name))
    wrong = {}
    for start in range(0, len(ordered), 20):
        group = ordered[start : start + 20]
        turn = max(range(1, len(group)), key=lambda k: (_differing(group, k), -k))
        for item, other in zip(group, group[turn:] + group[:turn], strict=True):
            wrong[item.name] = replace(item, transcript=other.transcript)
    return [wrong[item.name] for item in items]


def _differing(group: list[Utterance], turn: int) -> int:
    return sum(a.template != b.template for a, b in zip(group, group[turn:] + group[:turn], strict=True))


def files_of(items: list[Utterance], manifest: str) -> dict[str, bytes]:
    """Return a set's files by path: audio and its manifest (`csv`, `jsonl`, or `txt` beside each file)."""
    files = {item.path: encode(item.samples, item.format) for item in items}
    if manifest == "txt":
        return files | {f"audio/{item.name}.txt": (item.transcript + "\n").encode() for item in items}
    return files | {f"manifest.{manifest}": table([row(item) for item in items], manifest)}


def row(item: Utterance) -> dict[str, str]:
    """Return the manifest row of an utterance."""
    return {
        "path": item.path,
        "transcript": item.transcript,
        "speaker": item.speaker,
        "language": "en",
        "origin": "synthetic",
    }


def table(rows: list[dict[str, str]], form: str) -> bytes:
    """Write manifest rows as CSV or JSON lines."""
    return (json_lines(rows) if form == "jsonl" else csv_text(rows)).encode()


def broken_files(items: list[Utterance]) -> dict[str, bytes]:
    """Return a batch in which 8 recordings are fine and everything else is broken in its own way."""
    rows = [row(item) for item in items]
    files = {item.path: encode(item.samples, item.format) for item in items}
    damage = items[8:]
    for item, (name, spoil) in zip(damage, DAMAGE, strict=True):
        form = name.split("-")[-1] if name.startswith("truncated") else "wav"
        path = f"audio/{item.name}-{name}.{form}"
        del files[item.path]
        files[path] = spoil(item.samples[: 5 * RATE // 4])
        rows[items.index(item)]["path"] = path
    for item, transcript in zip(damage[-4:], ("", "   ", "word " * 400, "A \0 in the text."), strict=True):
        rows[items.index(item)]["transcript"] = transcript
    rows.append(rows[0] | {"path": "audio/no-such-file.wav"})
    files["audio/no-transcript.wav"] = encode(items[0].samples[: 2 * RATE : -1], "wav")
    files["audio/same-again.ogg"] = files[items[1].path]
    rows.append(rows[1] | {"path": "audio/same-again.ogg"})
    return files | {"manifest.jsonl": table(rows, "jsonl")}


def _wav(change: Callable[[np.ndarray], np.ndarray], subtype: str = "PCM_16") -> Callable[[np.ndarray], bytes]:
    return lambda samples: encode(change(samples), "wav", subtype)


DAMAGE: tuple[tuple[str, Callable[[np.ndarray], bytes]], ...] = (
    ("zero-bytes", lambda samples: b""),
    ("header-only", _wav(lambda samples: samples[:0])),
    ("truncated-wav", lambda samples: encode(samples, "wav")[:20_000]),
    ("truncated-wav", lambda samples: encode(samples, "wav")[:-9_000]),
    ("truncated-flac", lambda samples: encode(samples, "flac")[:9_000]),
    ("truncated-ogg", lambda samples: encode(samples, "ogg")[:2_000]),
    ("silent", _wav(np.zeros_like)),
    ("silent", _wav(lambda samples: samples * 0.0)),
    ("direct-current", _wav(lambda samples: np.full_like(samples, 0.25))),
    ("one-bit-noise", _wav(lambda samples: np.sign(samples) / 2**15)),
    ("ten-milliseconds", _wav(lambda samples: samples[8_000:8_160])),
    ("64-channels", _wav(lambda samples: np.tile(samples[:1_600, None], (1, 64)))),
    ("adpcm", _wav(lambda samples: samples, "IMA_ADPCM")),
    ("gsm", _wav(lambda samples: samples, "GSM610")),
    ("text", lambda samples: b"This is a letter and no recording.\n" * 40),
    ("page", lambda samples: b"<!doctype html><title>404</title>Not found" * 20),
    ("not-a-number", lambda samples: float_wav(np.where(np.arange(len(samples)) % 999, samples, np.nan))),
    ("silent", _wav(lambda samples: samples[:16_000] * 0.0)),
    ("ten-milliseconds", _wav(lambda samples: samples[6_000:6_160])),
    ("zero-bytes", lambda samples: b""),
    *((f"{name}-transcript", _wav(lambda samples: samples)) for name in ("empty", "blank", "endless", "nul")),
)


def make(out: Path) -> dict[str, str]:
    """Make every set under `out`; return the digest of each."""
    recipe = tomllib.loads((HERE / "recipe.toml").read_text())
    digests = {}
    for name, folder in FOLDERS.items():
        write_folder(out / folder, files_of(utterances(recipe, name), recipe["sets"][name]["manifest"]))
        digests[folder] = sha256_folder(out / folder)
    for name in BATCHES:
        items = utterances(recipe, name)
        if name == "broken":
            files = broken_files(items)
        else:
            items = shuffled(items) if name == "wrong-transcripts" else items
            files = files_of(items, recipe["sets"][name]["manifest"])
        target = out / f"samples/speech/{name}.zip"
        write_zip(target, files)
        digests[target.relative_to(out).as_posix()] = sha256_file(target)
    return digests


if __name__ == "__main__":
    run("speech", make, tools)
