"""The speech family: half a dozen synthetic recordings, and a Whisper of sixteen numbers' width."""

from pathlib import Path

import numpy as np

from mlops_assets.core.records.data import Item
from mlops_assets_tests.families.examples import Example

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "hazel")
CLIPS = 6


def _config(folder: Path) -> dict:
    from mlops_assets_tests.families.speech.models import SETTINGS, tiny

    return {**SETTINGS, "base_model": str(tiny(folder / "base")), "min_chars_per_second": 0.0}


def _batch(folder: Path, seed: int) -> Path:
    return _written(folder, seed, level=0.3)


def _written(folder: Path, seed: int, *, level: float, rate: int = 16_000) -> Path:
    from mlops_assets_tests.families.speech.recordings import manifest, voice, write

    rows = []
    for at in range(CLIPS):
        wave = voice(0.8 + 0.2 * at, seed=100 * seed + at, level=level)
        if rate != 16_000:
            from scipy.signal import resample_poly

            wave = resample_poly(wave, rate, 16_000)
        write(folder / f"{at}.wav", wave, rate)
        rows.append((f"{at}.wav", f"{WORDS[at]} and {WORDS[(at + seed) % 8]}", f"speaker{at % 3}"))
    return manifest(folder, rows, ("path", "transcript", "speaker"))


def _disguised(batch: Path, out: Path) -> Path:
    """Speak the batch again: softer, and at another rate."""
    del batch
    return _written(out, 1, level=0.2, rate=24_000)


def _agrees(model: Path, servable: Path, folder: Path, items: list[Item]) -> None:
    """Compare the weights, number by number, within the rounding of half precision."""
    import mlx.core as mx

    trained, exported = (mx.load(str(each / "weights.safetensors")) for each in (model, servable))
    assert isinstance(trained, dict)
    assert isinstance(exported, dict)
    assert trained.keys() == exported.keys()
    for name, array in trained.items():
        ours, theirs = np.array(exported[name]).astype(np.float32), np.array(array).astype(np.float32)
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6, err_msg=name)


EXAMPLE = Example(
    config=_config, batch=_batch, disguised=_disguised, agrees=_agrees, requires=("mlx", "mlx_whisper", "soundfile")
)
