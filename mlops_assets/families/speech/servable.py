"""What is judged and served: weights, dimensions and decoding settings in one folder, and greedy decoding in batches.

The decoder is Whisper's own with its key-value cache. Everything that shapes a transcript depends on its clip alone:
the window, the length cap and the guard against repetition; so neighbours in a batch do not matter.
"""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx_whisper.whisper import Whisper
from pydantic import BaseModel, ConfigDict, JsonValue

from mlops_assets.core.errors import Corrupt
from mlops_assets.families.speech.audio import RATE, envelope, read_samples
from mlops_assets.families.speech.config import Config
from mlops_assets.families.speech.network import (
    choose_device,
    encode,
    features,
    load_network,
    longest_window,
    tokenizer_for,
    window,
)
from mlops_assets.families.speech.weights import CONFIG, WEIGHTS

SETTINGS = "decoding.json"
SPARE_TOKENS = 8
LOOP_TOKENS = 12


class Decoding(BaseModel):
    """The settings a servable carries; their meaning is in `Config`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str
    device: str
    window_step: float
    window_margin: float
    window_min: float
    decode_batch: int
    tokens_per_second: float
    loop_repeats: int


def export(model: Path, out: Path, config: Config) -> None:
    """Write the servable folder `out`: the model's weights in `config.weights` precision, and how to decode."""
    out.mkdir(parents=True, exist_ok=True)
    weights = mx.load(str(model / WEIGHTS))
    if not isinstance(weights, dict):
        raise Corrupt(f"{model / WEIGHTS} holds no named weights.", "Train or fetch the model again.")
    dtype = mx.float16 if config.weights == "float16" else mx.float32
    mx.save_safetensors(str(out / WEIGHTS), {name: array.astype(dtype) for name, array in sorted(weights.items())})
    shutil.copyfile(model / CONFIG, out / CONFIG)
    chosen = Decoding(**{name: getattr(config, name) for name in Decoding.model_fields})
    (out / SETTINGS).write_text(json.dumps(chosen.model_dump(), indent=1) + "\n", "utf-8")


def load(servable: Path) -> "Transcriber":
    """Load a servable folder on the best device there is."""
    settings = Decoding.model_validate_json((servable / SETTINGS).read_bytes())
    choose_device("cpu" if settings.device == "cpu" else "auto")
    return Transcriber(load_network(servable), settings)


@dataclass
class _Part:
    """A stretch of one input that fits the encoder."""

    owner: int
    samples: np.ndarray
    window: float
    cap: int


class Transcriber:
    """Transcribes recordings of any length; longer ones than the window are cut where they are quietest."""

    def __init__(self, network: Whisper, settings: Decoding) -> None:
        self._network = network
        self._settings = settings
        self._tokenizer = tokenizer_for(network, settings.language)
        self._prompt = list(self._tokenizer.sot_sequence_including_notimestamps)
        self._never, self._never_first = self._masks()

    def predict(self, inputs: Sequence[Path | JsonValue]) -> list[JsonValue]:
        """Return, per audio file, {'text', 'log_probability' (mean per token), 'no_speech' (probability)}."""
        parts = [part for owner, path in enumerate(inputs) for part in self._parts(owner, Path(str(path)))]
        order = sorted(range(len(parts)), key=lambda i: (parts[i].window, len(parts[i].samples)))
        results: dict[int, tuple[list[int], float, float]] = {}
        for group in self._groups(parts, order):
            results |= zip(group, self._decode([parts[i] for i in group]), strict=True)
        answers: list[JsonValue] = []
        for owner in range(len(inputs)):
            own = [results[i] for i, part in enumerate(parts) if part.owner == owner]
            text = " ".join(filter(None, (self._tokenizer.decode(tokens).strip() for tokens, _, _ in own)))
            count = sum(len(tokens) + 1 for tokens, _, _ in own)
            answers.append(
                {
                    "text": text,
                    "log_probability": round(sum(log for _, log, _ in own) / count, 2),
                    "no_speech": round(min(silence for _, _, silence in own), 2),
                }
            )
        return answers

    def _parts(self, owner: int, path: Path) -> Iterator[_Part]:
        settings = self._settings
        longest = longest_window(self._network)
        limit = min(settings.tokens_per_second, 1e3)
        room = self._network.dims.n_text_ctx // 2 - len(self._prompt)
        for samples in split(read_samples(path), longest):
            seconds = len(samples) / RATE
            chosen = window(
                seconds,
                step=settings.window_step,
                margin=settings.window_margin,
                least=settings.window_min,
                longest=longest,
            )
            yield _Part(owner, samples, chosen, max(1, min(room, SPARE_TOKENS + math.ceil(limit * seconds))))

    def _groups(self, parts: list[_Part], order: list[int]) -> Iterator[list[int]]:
        group: list[int] = []
        for i in order:
            if group and (parts[i].window != parts[group[0]].window or len(group) == self._settings.decode_batch):
                yield group
                group = []
            group.append(i)
        if group:
            yield group

    def _masks(self) -> tuple[mx.array, mx.array]:
        """Return additive masks of (vocabulary,): what is never said, and what is not said first."""
        tokenizer = self._tokenizer
        never = np.zeros(self._network.dims.n_vocab, np.float32)
        never[tokenizer.eot + 1 :] = -np.inf
        never[list(tokenizer.non_speech_tokens)] = -np.inf
        first = never.copy()
        first[[*tokenizer.encoding.encode_ordinary(" "), tokenizer.eot]] = -np.inf
        return mx.array(never), mx.array(first)

    def _decode(self, parts: list[_Part]) -> list[tuple[list[int], float, float]]:
        """Decode parts of one window greedily; per part its tokens, sum of log probabilities, and no-speech."""
        network, eot = self._network, self._tokenizer.eot
        mel = mx.stack([features(part.samples, part.window, network.dims.n_mels) for part in parts])
        audio = encode(network, mel)
        logits, cache, _ = network.decoder(mx.array([self._prompt] * len(parts)), audio)
        start = self._prompt.index(self._tokenizer.sot)
        silence = np.array(mx.softmax(logits[:, start], axis=-1)[:, self._tokenizer.no_speech])
        logits = logits[:, -1] + self._never_first
        said: list[list[int]] = [[] for _ in parts]
        total = np.zeros(len(parts))
        active = np.ones(len(parts), bool)
        while True:
            chosen = mx.argmax(logits, axis=-1)
            log = mx.take_along_axis(logits, chosen[:, None], axis=-1)[:, 0] - mx.logsumexp(logits, axis=-1)
            tokens, logs = np.array(chosen), np.array(log)
            for i in np.flatnonzero(active):
                total[i] += logs[i]
                if tokens[i] == eot:
                    active[i] = False
                    continue
                said[i].append(int(tokens[i]))
                if repeated := looped(said[i], self._settings.loop_repeats):
                    del said[i][-repeated:]
                    active[i] = False
                elif len(said[i]) >= parts[i].cap:
                    active[i] = False
            if not active.any():
                return list(zip(said, total.tolist(), silence.tolist(), strict=True))
            logits, cache, _ = network.decoder(chosen[:, None], audio, kv_cache=cache)
            logits = logits[:, -1] + self._never


def looped(tokens: Sequence[int], repeats: int) -> int:
    """Return how many tokens at the end only repeat a phrase: 0, or (times - 1) * its length.

    A phrase counts as repeated when it occurs `repeats` times in a row over at least twelve tokens, or twice where it
    is itself at least ten tokens long: short words may be said thrice, whole sentences are not said twice.
    """
    count = len(tokens)
    for length in range(1, count // 2 + 1):
        times = 2 if length >= LOOP_TOKENS - 2 else max(repeats, math.ceil(LOOP_TOKENS / length))
        if times * length > count:
            continue
        phrase = tokens[count - length :]
        if all(tokens[count - k * length : count - (k - 1) * length] == phrase for k in range(2, times + 1)):
            return (times - 1) * length
    return 0


def split(samples: np.ndarray, longest: float) -> list[np.ndarray]:
    """Cut samples into stretches of at most `longest` seconds, each at the quietest 50 ms of its last third."""
    limit = int(longest * RATE)
    stretches = []
    while len(samples) > limit:
        start = limit * 2 // 3
        level = envelope((samples[start:limit] * 32_767).astype(np.int16))
        cut = start + (int(level.argmin()) * RATE + RATE // 2) // 20
        stretches.append(samples[:cut])
        samples = samples[cut:]
    return [*stretches, samples]
