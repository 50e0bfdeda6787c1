"""Turn a dataset folder into training batches: which items, in which order, padded how - all from the seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx_whisper.tokenizer import Tokenizer
from mlx_whisper.whisper import Whisper

from mlops_assets.core.dataset import read_items
from mlops_assets.families.speech.audio import read_samples
from mlops_assets.families.speech.config import Config
from mlops_assets.families.speech.network import features, longest_window, window

_CHUNK = 8


@dataclass(frozen=True)
class Example:
    """A recording, the encoder window it needs, and its tokens: prompt, transcript, end."""

    path: Path
    window: float
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Arrays of one forward pass.

    `mel` (batch, frames, n_mels) float32; `inputs` and `targets` (batch, length) token ids, targets one step ahead;
    `weight` (batch, length) is 1 where a target counts: from the first word to the end-of-text, not in the prompt.
    """

    mel: mx.array
    inputs: mx.array
    targets: mx.array
    weight: mx.array
    count: int


def read_examples(folder: Path, network: Whisper, tokenizer: Tokenizer, config: Config) -> list[Example]:
    """Read a dataset; items longer than the network can hear or write are left out."""
    longest = longest_window(network)
    prompt = tokenizer.sot_sequence_including_notimestamps
    examples = []
    for item in read_items(folder):
        seconds = float(item.attributes["seconds"])
        text = tokenizer.encoding.encode_ordinary(" " + str(item.target).strip())
        tokens = (*prompt, *text, tokenizer.eot)
        if item.path is not None and seconds <= longest and len(tokens) <= network.dims.n_text_ctx:
            fitting = window(
                seconds,
                step=config.window_step,
                margin=config.window_margin,
                least=config.window_min,
                longest=longest,
            )
            examples.append(Example(folder / item.path, fitting, tokens))
    return examples


def order(examples: Sequence[Example], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the batches of an epoch as item positions; items of like length meet, within shuffled chunks."""
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(examples))
    batches = []
    for start in range(0, len(shuffled), batch_size * _CHUNK):
        chunk = sorted(shuffled[start : start + batch_size * _CHUNK], key=lambda i: examples[i].window)
        batches += [[int(i) for i in chunk[k : k + batch_size]] for k in range(0, len(chunk), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def collate(examples: Sequence[Example], network: Whisper, prompt: int, eot: int) -> Batch:
    """Read and pad the examples of one batch; `prompt` is the number of prompt tokens."""
    seconds = max(example.window for example in examples)
    length = max(len(example.tokens) for example in examples)
    tokens = np.full((len(examples), length), eot, np.int32)
    weight = np.zeros((len(examples), length - 1), np.float32)
    for row, example in enumerate(examples):
        tokens[row, : len(example.tokens)] = example.tokens
        weight[row, prompt - 1 : len(example.tokens) - 1] = 1
    mel = mx.stack([features(read_samples(example.path), seconds, network.dims.n_mels) for example in examples])
    return Batch(mel, mx.array(tokens[:, :-1]), mx.array(tokens[:, 1:]), mx.array(weight), int(weight.sum()))
