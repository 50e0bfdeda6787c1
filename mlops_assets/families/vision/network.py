"""The classifier: MobileNetV2 (Sandler et al., CVPR 2018) from Keras, mean pooling, and one linear layer on top.

Batch normalisation always uses its stored statistics: small batches would spoil them, and the exported model, in which
they are folded into the convolutions, then is the trained one.

Pictures go in with values -1 to 1. An 8-bit integer of that range is a pixel's byte, so that the INT8 file takes pixels
as they are, and no arithmetic of eight bits comes before the first convolution.

A line that serves INT8 keeps its convolutions on the grid of 8-bit numbers they will be stored in (one scale for each
output channel, the largest weight at 127; folding the normalisation in multiplies the scale alone). What is tuned then
is tuned with the rounding of everything below it. Without this, the rounding of weights made nearly all of the
difference between the two files: one label in ten, measured on rendered mangoes.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from mlops_assets.core.errors import Corrupt
from mlops_assets.core.records.base import Record

WEIGHTS, CALIBRATION, SETTINGS = "weights.safetensors", "calibration.safetensors", "model.json"
PICTURES = "pictures"


class Settings(Record):
    """What a model folder says of itself: classes in the order of the outputs, side of the input, width multiplier."""

    labels: tuple[str, ...]
    size: int
    width: float
    steps: int = 0
    recipe: str = ""


@dataclass
class Network:
    """A backbone, pictures (n, size, size, 3) to features (n, channels), and the head, features to logits."""

    settings: Settings
    backbone: Any
    head: Any

    def variables(self) -> dict[str, Any]:
        """Return every weight by its name, such as 'block_3_expand/kernel'."""
        return {name(each): each for each in [*self.backbone.weights, *self.head.weights]}

    def logits(self, pictures: Any) -> Any:
        """Return logits (n, classes) of pictures (n, size, size, 3) with values -1 to 1."""
        return self.head(self.backbone(pictures, training=False))

    def round_weights(self) -> None:
        """Set every convolution's kernel to the nearest weights that an INT8 file can hold."""
        for layer in self.backbone.layers:
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            if depthwise or isinstance(layer, keras.layers.Conv2D):
                kernel: Any = layer.kernel
                kernel.assign(rounded(np.asarray(kernel), depthwise))

    def top(self, layers: int) -> list[Any]:
        """Return the trainable variables of the backbone's last `layers` layers, normalisation excepted."""
        tuned = self.backbone.layers[len(self.backbone.layers) - layers :]
        frozen = keras.layers.BatchNormalization
        return [each for layer in tuned if not isinstance(layer, frozen) for each in layer.trainable_variables]


def build(settings: Settings) -> Network:
    """Return the network with the initialisers' weights: the backbone's at random, the head's zero."""
    image = keras.Input((settings.size, settings.size, 3), name="image")
    mobile = keras.applications.MobileNetV2(
        input_tensor=image,
        alpha=settings.width,
        include_top=False,
        weights=None,  # pyright: ignore[reportArgumentType]
        name="mobilenetv2",
    )
    features = keras.layers.GlobalAveragePooling2D(name="features")(mobile.output)
    head = keras.layers.Dense(len(settings.labels), kernel_initializer="zeros", name="head")
    head.build(features.shape)
    return Network(settings, keras.Model(image, features, name="backbone"), head)


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 pixels as the network takes them: float32, -1 to 1."""
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def rounded(kernel: np.ndarray, depthwise: bool) -> np.ndarray:
    """Return a kernel (height, width, in, out) rounded to 255 levels for each output channel."""
    axes = (0, 1, 3) if depthwise else (0, 1, 2)
    step = np.abs(kernel).max(axis=axes, keepdims=True) / 127
    return (np.round(kernel / np.maximum(step, np.finfo(np.float32).tiny)) * step).astype(np.float32)


def name(variable: Any) -> str:
    """Return a weight's name within its model: layer and kind."""
    return "/".join(variable.path.split("/")[-2:])


def settle(network: Network, pictures: np.ndarray) -> None:
    """Take a random backbone's normalisation from some pictures: without it, signals fade away through fifty layers."""
    for layer in network.backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network.backbone(scaled(pictures), training=True)


def load(folder: Path, settings: Settings | None = None) -> Network:
    """Read a model folder; with `settings`, for their labels and size: a label the model does not know starts at zero.

    Raises Corrupt if its weights are not those of the network.
    """
    own = read_settings(folder)
    network = build(settings or own)
    stored = load_file(folder / WEIGHTS)
    kernel, bias = stored["head/kernel"], stored["head/bias"]
    place = {label: at for at, label in enumerate(own.labels)}
    columns = [place.get(label) for label in network.settings.labels]
    stored["head/kernel"] = np.stack(
        [np.zeros(len(kernel), "f4") if at is None else kernel[:, at] for at in columns], 1
    )
    stored["head/bias"] = np.array([0.0 if at is None else bias[at] for at in columns], "f4")
    assign(network.variables(), stored, folder)
    return network


def assign(variables: dict[str, Any], arrays: dict[str, np.ndarray], where: Path) -> None:
    """Set variables to arrays of the same names and shapes; raise Corrupt where they differ."""
    wrong = [key for key, each in variables.items() if key not in arrays or arrays[key].shape != tuple(each.shape)]
    if wrong:
        raise Corrupt(f"{where} lacks {len(wrong)} weights, {wrong[0]} for one.", "Train or fetch the model again.")
    for key, each in variables.items():
        each.assign(arrays[key])


def save(folder: Path, network: Network, calibration: np.ndarray, settings: Settings) -> None:
    """Write a model folder; `calibration` are uint8 pictures (n, size, size, 3)."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: np.asarray(each) for key, each in sorted(network.variables().items())}, folder / WEIGHTS)
    save_file({PICTURES: np.ascontiguousarray(calibration)}, folder / CALIBRATION)
    (folder / SETTINGS).write_text(json.dumps(settings.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")


def read_settings(folder: Path) -> Settings:
    """Read what a model folder says of itself."""
    return Settings.parse((folder / SETTINGS).read_bytes())


def read_calibration(folder: Path) -> np.ndarray:
    """Return the pictures that INT8 ranges are measured with, uint8 (n, size, size, 3)."""
    return load_file(folder / CALIBRATION)[PICTURES]


def forward(network: Network) -> Any:
    """Return a compiled function from pictures to features."""
    return tf.function(lambda pictures: network.backbone(pictures, training=False), reduce_retracing=True)
