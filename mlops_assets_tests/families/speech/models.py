"""A Whisper of 64 numbers width with random weights: every part of the real one, in milliseconds, from no package."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.core.family import Progress
from mlops_assets.families.speech import FAMILY
from mlops_assets.families.speech.blas import blas, pin_threads
from mlops_assets_tests.families.speech.recordings import manifest, voice, write

# Both before any test imports MLX, as the family does it: another BLAS has other last digits.
pin_threads(0)
blas()

needs_mlx = pytest.mark.skipif(importlib.util.find_spec("mlx_whisper") is None, reason="the 'speech' extra is absent")
DIMENSIONS = {
    "n_mels": 80,
    "n_audio_ctx": 150,
    "n_audio_state": 16,
    "n_audio_head": 2,
    "n_audio_layer": 1,
    "n_vocab": 51_864,
    "n_text_ctx": 32,
    "n_text_state": 16,
    "n_text_head": 2,
    "n_text_layer": 1,
}
SETTINGS = {
    "learning_rate": 5e-3,
    "batch_size": 2,
    "epochs": 3,
    "evaluate_every": 2,
    "checkpoint_every": 2,
    "window_min": 1.0,
    "window_margin": 0.5,
    "device": "cpu",
    "train_embedding": True,
}


def settings(**changes: object) -> object:
    return FAMILY.Config.model_validate({**SETTINGS, **changes})


def tiny(folder: Path, seed: int = 0) -> Path:
    """Write a model folder with random float16 weights."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_whisper.whisper import ModelDimensions, Whisper

    network = Whisper(ModelDimensions(**DIMENSIONS), mx.float32)
    rng = np.random.default_rng(seed)
    weights = {
        name: mx.array(rng.normal(0, 0.1, array.shape).astype(np.float16))
        for name, array in tree_flatten(network.parameters())
        if name != "alignment_heads"
    }
    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "weights.safetensors"), weights)
    (folder / "config.json").write_text(json.dumps(DIMENSIONS))
    return folder


def dataset(folder: Path, count: int, seed: int = 0) -> Path:
    """Check `count` short recordings and return the dataset folder."""
    batch = folder.with_name(folder.name + "-batch")
    rows = []
    for number in range(count):
        write(batch / f"{number}.wav", voice(0.7 + 0.3 * (number % 3), seed=seed + number))
        rows.append((f"{number}.wav", f"crate number {number}"))
    FAMILY.check(manifest(batch, rows), folder, FAMILY.Config(), _silent)
    return folder


def _silent(_: Progress) -> None:
    pass
