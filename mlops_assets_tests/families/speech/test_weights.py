import struct
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.core.errors import ConfigError, Corrupt
from mlops_assets.families.speech import FAMILY
from mlops_assets_tests.families.speech.models import DIMENSIONS, needs_mlx, settings, tiny

pytestmark = needs_mlx
TINY_EN = Path(__file__).parents[3] / "data/models/whisper-tiny.en"
needs_weights = pytest.mark.skipif(not TINY_EN.is_dir(), reason="Whisper tiny.en was not fetched: `make fetch`")


def test_a_local_model_folder_is_a_base(tmp_path: Path) -> None:
    FAMILY.base(settings(base_model=str(tiny(tmp_path / "tiny"))), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "weights.safetensors"]


@pytest.mark.parametrize("source", ["/nowhere/at/all", "./nowhere", "nowhere", "data/models/nowhere"])
def test_sources_that_are_none_say_so(tmp_path: Path, source: str) -> None:
    with pytest.raises(ConfigError, match="There is no folder"):
        FAMILY.base(settings(base_model=source), tmp_path / "out")


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no Whisper weights"):
        FAMILY.base(settings(base_model=str(tmp_path / "empty")), tmp_path / "out")


def test_a_cut_ctranslate2_file_is_corrupt(tmp_path: Path) -> None:
    name = b"encoder/conv1/weight\0"
    head = struct.pack("<IH3sIIH", 6, 3, b"ab\0", 3, 1, len(name)) + name + struct.pack("<BIBI", 1, 100, 4, 200)
    (tmp_path / "model.bin").write_bytes(head + bytes(10))
    with pytest.raises(Corrupt, match="not a whole"):
        FAMILY.base(settings(base_model=str(tmp_path)), tmp_path / "out")


@needs_weights
def test_the_fetched_weights_convert_to_the_whole_of_whisper_tiny(tmp_path: Path) -> None:
    from mlops_assets.families.speech.network import load_network

    FAMILY.base(FAMILY.Config(base_model=str(TINY_EN)), tmp_path / "base")
    network = load_network(tmp_path / "base")
    assert network.dims.__dict__ == {
        **DIMENSIONS, "n_audio_ctx": 1500, "n_text_ctx": 448, "n_audio_layer": 4, "n_text_layer": 4,
        "n_audio_state": 384, "n_text_state": 384, "n_audio_head": 6, "n_text_head": 6,
    }  # fmt: skip


@needs_weights
def test_a_short_window_encodes_as_mlx_whisper_does_where_they_overlap(tmp_path: Path) -> None:
    """With all 30 s our encoder is mlx-whisper's own; the test of shorter ones is the accuracy in the docs."""
    import mlx.core as mx

    from mlops_assets.families.speech.network import encode, load_network

    FAMILY.base(FAMILY.Config(base_model=str(TINY_EN)), tmp_path / "base")
    network = load_network(tmp_path / "base")
    network.encoder.blocks = network.encoder.blocks[:1]
    mel = mx.random.normal((1, 3000, 80), key=mx.random.key(1))
    assert np.allclose(np.array(encode(network, mel)), np.array(network.encoder(mel)), atol=1e-5)
    assert encode(network, mel[:, :400]).shape == (1, 200, 384)


@pytest.mark.parametrize(("stride", "channels"), [(1, 5), (2, 8)])
def test_a_convolution_as_a_product_has_the_layers_values_and_gradients(stride: int, channels: int) -> None:
    import mlx.core as mx
    import mlx.nn as nn

    from mlops_assets.families.speech.network import convolve

    layer = nn.Conv1d(channels, 8, 3, stride=stride, padding=1)
    x = mx.random.normal((2, 12, channels), key=mx.random.key(3))
    ours = mx.value_and_grad(lambda x: (convolve(layer, x, stride) ** 2).sum())(x)
    theirs = mx.value_and_grad(lambda x: (layer(x) ** 2).sum())(x)
    for one, other in zip(ours, theirs, strict=True):
        assert np.allclose(np.array(one), np.array(other), rtol=1e-4, atol=1e-4)
