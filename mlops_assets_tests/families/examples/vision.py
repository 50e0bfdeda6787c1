"""The vision family: three dozen pictures of discs, and the narrowest MobileNetV2 at 32 pixels, from random weights."""

from pathlib import Path

import numpy as np

from mlops_assets.core.records.data import Item
from mlops_assets_tests.families.examples import Example

PICTURES = 8


def _config(folder: Path) -> dict:
    from mlops_assets_tests.families.vision.models import SETTINGS

    return SETTINGS


def _batch(folder: Path, seed: int) -> Path:
    from mlops_assets_tests.families.vision.photographs import by_folder

    return by_folder(folder, range(100 * seed, 100 * seed + PICTURES))


def _disguised(batch: Path, out: Path) -> Path:
    """Write every picture as a JPEG of another size, a little brighter."""
    from PIL import Image, ImageEnhance

    from mlops_assets_tests.families.vision.photographs import encoded, put

    for path in sorted(batch.rglob("*.png")):
        with Image.open(path) as picture:
            other = ImageEnhance.Brightness(picture.resize((140, 140))).enhance(1.08)
        put(out, f"{path.parent.name}/{path.stem}.jpg", encoded(other, "JPEG", quality=75))
    return out


def _agrees(model: Path, servable: Path, folder: Path, items: list[Item]) -> None:
    """Run Keras's own MobileNetV2 with the trained weights, and LiteRT itself, and compare probabilities.

    Eight bits are coarse for random weights; what is clear to the floats is named alike.
    """
    import keras
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image
    from safetensors.numpy import load_file

    from mlops_assets_tests.families.vision.models import SETTINGS

    stored = load_file(model / "weights.safetensors")
    network = keras.applications.MobileNetV2((32, 32, 3), alpha=SETTINGS["width"], include_top=False, weights=None)
    for each in network.weights:
        each.assign(stored.pop("/".join(each.path.split("/")[-2:])))
    pictures = np.stack([np.asarray(Image.open(folder / str(item.path)), np.float32) for item in items])
    features = np.asarray(network(pictures / 127.5 - 1, training=False)).mean(axis=(1, 2))
    logits = features @ stored.pop("head/kernel") + stored.pop("head/bias")
    assert stored == {}
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    interpreter = Interpreter(model_path=str(servable / "model.tflite"))
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert taken["dtype"] == given["dtype"] == np.uint8
    found = []
    for picture in pictures:
        interpreter.set_tensor(taken["index"], picture[None].astype(np.uint8))
        interpreter.invoke()
        found.append(interpreter.get_tensor(given["index"])[0] / 256)
    assert np.abs(np.array(found) - shares).mean() < 0.05
    first, second = np.sort(shares, axis=1)[:, :-3:-1].T
    clear = first - second > 0.1
    assert clear.any()
    assert np.mean((np.argmax(found, axis=1) == shares.argmax(axis=1))[clear]) >= 0.9


EXAMPLE = Example(
    config=_config,
    batch=_batch,
    disguised=_disguised,
    agrees=_agrees,
    requires=("tensorflow", "ai_edge_litert", "h5py", "PIL"),
)
