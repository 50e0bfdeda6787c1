"""mlx-whisper's network, tokenizer and log-mel features, with encoder windows as short as a clip allows.

This module and those that import it are loaded by the family's methods, after a fast BLAS (see blas.py).
"""

import math
from pathlib import Path
from typing import Literal

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx_whisper.audio import FRAMES_PER_SECOND, HOP_LENGTH, log_mel_spectrogram
from mlx_whisper.tokenizer import Tokenizer, get_tokenizer
from mlx_whisper.whisper import ModelDimensions, Whisper

from mlops_assets.core.errors import ConfigError, Corrupt
from mlops_assets.families.speech.weights import WEIGHTS, read_dimensions

CACHE_BYTES = 1 << 30


def choose_device(device: Literal["auto", "gpu", "cpu"]) -> str:
    """Make MLX use a device and return its name; ConfigError if a GPU is asked for and there is none.

    'auto' is Metal on Apple silicon, CUDA where MLX was installed with it, else the CPU.
    """
    gpu = mx.is_available(mx.gpu)
    if device == "gpu" and not gpu:
        raise ConfigError("device: gpu was asked for and MLX has none here.", "Use 'auto' or 'cpu', or mlx[cuda].")
    chosen = mx.cpu if device == "cpu" or not gpu else mx.gpu
    mx.set_default_device(mx.Device(chosen))
    mx.set_cache_limit(CACHE_BYTES)
    return "cpu" if chosen == mx.cpu else "metal" if mx.metal.is_available() else "cuda"


def load_network(folder: Path) -> Whisper:
    """Load a model folder in float32, whatever precision it is stored in.

    mlx-whisper's own loader keeps float16 weights under its float32 default, and AdamW overflows on them at the
    first step. Raises Corrupt if the weights do not fit the dimensions.
    """
    network = Whisper(ModelDimensions(**read_dimensions(folder)), mx.float32)
    weights = mx.load(str(folder / WEIGHTS))
    if not isinstance(weights, dict):
        raise Corrupt(f"{folder / WEIGHTS} holds no named weights.", "Fetch the model again.")
    weights["alignment_heads"] = network.alignment_heads
    try:
        network.load_weights(list(weights.items()), strict=True)
    except ValueError as error:
        raise Corrupt(f"{folder / WEIGHTS} does not fit its config.json: {error}", "Fetch the model again.") from error
    network.set_dtype(mx.float32)
    mx.eval(network.parameters())
    return network


def tokenizer_for(network: Whisper, language: str) -> Tokenizer:
    """Return the network's tokenizer; ConfigError if it does not know the language."""
    if not network.is_multilingual and language != "en":
        raise ConfigError(f"An English-only model cannot learn '{language}'.", "Name a multilingual base model.")
    try:
        return get_tokenizer(
            network.is_multilingual, num_languages=network.num_languages, language=language, task="transcribe"
        )
    except ValueError as error:
        raise ConfigError(f"Whisper does not know the language '{language}'.", "Use one of its codes.") from error


def longest_window(network: Whisper) -> float:
    """Return the seconds of audio the network can hear at once (30 for every published Whisper)."""
    return network.dims.n_audio_ctx * 2 / FRAMES_PER_SECOND


def window(seconds: float, *, step: float, margin: float, least: float, longest: float) -> float:
    """Return the encoder window for a clip: its length and a margin, rounded up to a step, within the two limits.

    It depends on the clip alone, so that a prediction does not depend on what is decoded beside it.
    """
    return min(longest, max(least, math.ceil((seconds + margin) / step - 1e-9) * step))


def features(samples: np.ndarray, seconds: float, n_mels: int) -> mx.array:
    """Return log-mel features of shape (100 * seconds, n_mels) for samples padded or cut to a window of `seconds`."""
    length = round(seconds * FRAMES_PER_SECOND) * HOP_LENGTH
    padded = np.zeros(length, np.float32)
    padded[: min(length, len(samples))] = samples[:length]
    return log_mel_spectrogram(padded, n_mels)


def encode(network: Whisper, mel: mx.array) -> mx.array:
    """Run the encoder on features of shape (batch, frames, n_mels) with any even number of frames up to 3000.

    Whisper's own call insists on 30 s; its position embedding is sinusoidal, so a prefix of it serves a shorter clip.
    Returns (batch, frames / 2, width).
    """
    encoder = network.encoder
    hidden = nn.gelu(convolve(encoder.conv2, nn.gelu(convolve(encoder.conv1, mel, stride=1)), stride=2))
    hidden = hidden + encoder._positional_embedding[: hidden.shape[1]]
    for block in encoder.blocks:
        hidden, _, _ = block(hidden)
    return encoder.ln_post(hidden)


def convolve(layer: nn.Conv1d, x: mx.array, stride: int) -> mx.array:
    """Apply a convolution of width 3 and padding 1 to (batch, frames, channels) as one matrix product.

    The values are those of the layer itself; on a CPU, MLX's own gradient for the input takes thirteen times as long.
    """
    padded = mx.pad(x, [(0, 0), (1, 1), (0, 0)])
    columns = mx.concatenate([padded[:, tap : tap + x.shape[1] : stride] for tap in range(3)], axis=-1)
    return columns @ layer.weight.reshape(layer.weight.shape[0], -1).T + layer.bias
