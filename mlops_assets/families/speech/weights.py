"""Whisper weights from wherever they are - Hub, MLX folder, CTranslate2 folder - as one safetensors folder.

A model folder is `weights.safetensors` and `config.json` (the model's dimensions), which mlx-whisper reads too.
"""

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.core.errors import ConfigError, Corrupt

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"
DIMENSIONS = (
    "n_mels",
    "n_audio_ctx",
    "n_audio_state",
    "n_audio_head",
    "n_audio_layer",
    "n_vocab",
    "n_text_ctx",
    "n_text_state",
    "n_text_head",
    "n_text_layer",
)
_CT2_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def write_base(source: str, out: Path) -> None:
    """Write the model folder `out` for `source`.

    `source` is a Hugging Face repo id or a local folder (MLX or CTranslate2). Raises ConfigError if it is neither.
    """
    folder = find_installed(source) or _fetch(source)
    out.mkdir(parents=True, exist_ok=True)
    if (folder / "model.bin").is_file():
        convert_ctranslate2(folder, out)
    elif (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
        shutil.copyfile(folder / WEIGHTS, out / WEIGHTS)
        _write_config(out, read_dimensions(folder))
    elif (folder / CONFIG).is_file() and (folder / "weights.npz").is_file():
        _convert_npz(folder, out)
    else:
        raise ConfigError(
            f"'{source}' holds no Whisper weights that can be read.",
            "It needs config.json with weights.safetensors or weights.npz (MLX), or model.bin (CTranslate2).",
        )


def read_dimensions(folder: Path) -> dict[str, int]:
    """Return the model's dimensions from `config.json`; ConfigError if one is missing or the weights are quantised."""
    config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if config.get("quantization"):
        raise ConfigError("Quantised weights cannot be fine-tuned.", "Start from the float16 or float32 model.")
    missing = [name for name in DIMENSIONS if name not in config]
    if missing:
        raise ConfigError(f"{folder / CONFIG} lacks {', '.join(missing)}.", "Is it an MLX Whisper model?")
    return {name: int(config[name]) for name in DIMENSIONS}


def convert_ctranslate2(folder: Path, out: Path) -> None:
    """Convert a CTranslate2 Whisper folder (`model.bin`, float16 or float32) to a model folder."""
    tensors = {
        name: array for source, data in read_ctranslate2(folder / "model.bin") for name, array in _rename(source, data)
    }
    width = tensors["decoder.token_embedding.weight"].shape[1]
    layers = {side: len({name.split(".")[2] for name in tensors if name.startswith(f"{side}.blocks.")}) for side in _S}
    dimensions = {
        "n_mels": tensors["encoder.conv1.weight"].shape[2],
        "n_audio_ctx": 1500,
        "n_vocab": tensors["decoder.token_embedding.weight"].shape[0],
        "n_text_ctx": tensors["decoder.positional_embedding"].shape[0],
    }
    for side in ("audio", "text"):
        dimensions |= {
            f"n_{side}_state": width,
            f"n_{side}_head": width // 64,
            f"n_{side}_layer": layers["encoder" if side == "audio" else "decoder"],
        }
    _save(tensors, out)
    _write_config(out, dimensions)


def read_ctranslate2(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and array of every variable in a CTranslate2 `model.bin`; Corrupt if it ends early.

    Layout: u32 version, string (u16 length with NUL, bytes), u32 revision, u32 count; then per variable a string,
    u8 rank, rank * u32 dimensions, u8 type, u32 bytes, data.
    """
    data = memoryview(path.read_bytes())
    offset = 0

    def take(layout: str) -> int:
        nonlocal offset
        (value,) = struct.unpack_from(f"<{layout}", data, offset)
        offset += struct.calcsize(f"<{layout}")
        return value

    def text() -> str:
        nonlocal offset
        length = take("H")
        offset += length
        return bytes(data[offset - length : offset]).rstrip(b"\0").decode()

    try:
        take("I")
        text()
        take("I")
        for _ in range(take("I")):
            name = text()
            shape = [take("I") for _ in range(take("B"))]
            dtype = np.dtype(_CT2_DTYPES[take("B")])
            size = take("I")
            yield name, np.frombuffer(data, dtype, size // dtype.itemsize, offset).reshape(shape)
            offset += size
    except (struct.error, ValueError, KeyError) as error:
        raise Corrupt(f"{path} is not a whole CTranslate2 model: {error}.", "Install or download it again.") from error


_S = ("encoder", "decoder")
_NORM = {"gamma": "weight", "beta": "bias"}
_OUTER = {
    "encoder/layer_norm": "encoder.ln_post",
    "decoder/layer_norm": "decoder.ln",
    "encoder/conv1": "encoder.conv1",
    "encoder/conv2": "encoder.conv2",
}
_INNER = {
    "self_attention/layer_norm": "attn_ln",
    "self_attention/linear_0": ("attn.query", "attn.key", "attn.value"),
    "self_attention/linear_1": "attn.out",
    "attention/layer_norm": "cross_attn_ln",
    "attention/linear_0": "cross_attn.query",
    "attention/linear_1": ("cross_attn.key", "cross_attn.value"),
    "attention/linear_2": "cross_attn.out",
    "ffn/layer_norm": "mlp_ln",
    "ffn/linear_0": "mlp1",
    "ffn/linear_1": "mlp2",
}


def _rename(name: str, array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the MLX names and arrays of one CTranslate2 variable; keys have no bias in Whisper, theirs are zeros."""
    if name == "decoder/embeddings/weight":
        yield "decoder.token_embedding.weight", array
        return
    if name == "decoder/position_encodings/encodings":
        yield "decoder.positional_embedding", array
        return
    module, _, kind = name.rpartition("/")
    kind = _NORM.get(kind, kind)
    if module in _OUTER:
        yield f"{_OUTER[module]}.{kind}", array.transpose(0, 2, 1) if array.ndim == 3 else array
        return
    side, layer, rest = module.split("/", 2) if module.count("/") >= 2 else ("", "", "")
    target = _INNER.get(rest)
    if side not in _S or target is None or kind not in ("weight", "bias"):
        return
    prefix = f"{side}.blocks.{layer.removeprefix('layer_')}"
    targets = (target,) if isinstance(target, str) else target
    for part, piece in zip(targets, np.split(array, len(targets)), strict=True):
        if not (part.endswith(".key") and kind == "bias"):
            yield f"{prefix}.{part}.{kind}", piece


def _convert_npz(folder: Path, out: Path) -> None:
    with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
        _save({name: arrays[name] for name in arrays.files}, out)
    _write_config(out, read_dimensions(folder))


def _save(tensors: dict[str, np.ndarray], out: Path) -> None:
    import mlx.core as mx

    mx.save_safetensors(str(out / WEIGHTS), {name: mx.array(array) for name, array in tensors.items()})


def _write_config(out: Path, dimensions: dict[str, int]) -> None:
    (out / CONFIG).write_text(
        json.dumps({name: int(dimensions[name]) for name in DIMENSIONS}, indent=1) + "\n", "utf-8"
    )


def find_installed(source: str) -> Path | None:
    """Return the folder a source names on this machine, None for a repo id; ConfigError if it is neither."""
    if Path(source).is_dir():
        return Path(source)
    if source.count("/") != 1 or source.startswith(("/", ".")):
        raise ConfigError(
            f"There is no folder '{source}'.", "Run `make fetch`, or name another folder or a repo id 'owner/name'."
        )
    return None


def _fetch(source: str) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(source, allow_patterns=[CONFIG, WEIGHTS, "weights.npz", "model.bin"]))
