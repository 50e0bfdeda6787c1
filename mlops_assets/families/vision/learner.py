"""What learns in one phase of training, from what, and how: one optimizer step at a time.

While only the head learns, the backbone gives every picture the same features every time. They are worked out once,
of each picture and a few augmented views, and the head is trained on them: the same weights as running the backbone
in every step would give, at a fraction of the time. Once the top learns too, every pass sees new views.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mlops_assets.families.vision.augmentation import views
from mlops_assets.families.vision.config import Config
from mlops_assets.families.vision.dataset import Pictures
from mlops_assets.families.vision.network import Network, assign, forward, name, scaled

HEAD_VIEWS, ORDER, FINE_VIEWS = 1, 2, 3


@dataclass(frozen=True)
class Phase:
    """A stretch of training: which layers of the backbone's top learn beside the head, how long and how fast."""

    name: str
    layers: int
    epochs: int
    learning_rate: float
    falling: bool


class Learner:
    """What learns in one phase: its variables, its optimizer, and the data as the phase sees them."""

    def __init__(
        self, network: Network, phase: Phase, pictures: Pictures, held_out: Pictures, config: Config, seed: int
    ) -> None:
        self._network, self._phase, self._config, self._seed = network, phase, config, seed
        self._pictures, self._held_out = pictures, held_out
        self._forward = forward(network)
        self._variables = [*network.head.trainable_variables, *network.top(phase.layers)]
        self._optimizer: Any = keras.optimizers.AdamW(
            phase.learning_rate, weight_decay=config.weight_decay, global_clipnorm=config.clip_norm
        )
        self._optimizer.build(self._variables)
        self._gradient = tf.function(self._gradient_of)
        if not phase.layers:
            self._inputs, self._classes, self._weights = self._head_data()
            self._held = self._features(held_out.pixels) if len(held_out.classes) else held_out.pixels

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Return the items of each step of a pass, in the pass's own order."""
        count = len(self._pictures.classes) if self._phase.layers else len(self._inputs)
        order = np.random.default_rng([self._seed, ORDER, self._phase.layers, epoch]).permutation(count)
        return [order[at : at + self._config.batch_size] for at in range(0, count, self._config.batch_size)]

    def step(self, batch: np.ndarray, epoch: int, rate: float) -> float:
        """Take one optimizer step; return the mean loss of its items, and leave the weights if that is no number."""
        if self._phase.layers:
            inputs = views(self._pictures.pixels, batch, self._config, self._seed, FINE_VIEWS, epoch)
            classes, weights = self._pictures.classes[batch], self._pictures.weights[batch]
        else:
            inputs, classes, weights = self._inputs[batch], self._classes[batch], self._weights[batch]
        size = self._config.batch_size
        loss, gradients = self._gradient(_padded(inputs, size), _padded(classes, size), _padded(weights, size))
        if math.isfinite(value := float(loss)):
            self._optimizer.learning_rate = rate
            self._optimizer.apply(gradients, self._variables)
        return value

    def held_out_loss(self) -> float:
        """Return the mean loss of the held-out pictures as they are."""
        held_out = self._held_out
        features = self._features(held_out.pixels) if self._phase.layers else self._held
        return float(self._loss(self._network.head(features), held_out.classes, held_out.weights))

    def weights(self) -> dict[str, np.ndarray]:
        """Return what this phase has changed, by name."""
        return {name(each): np.asarray(each) for each in self._variables}

    def optimizer_state(self) -> dict[str, np.ndarray]:
        """Return the optimizer's variables by position."""
        return {f"{at:05d}": np.atleast_1d(each) for at, each in enumerate(self._optimizer.variables)}

    def restore(self, weights: dict[str, np.ndarray], optimizer: dict[str, np.ndarray], where: Path) -> None:
        """Take up a checkpoint that was read from `where`."""
        assign({name(each): each for each in self._variables}, weights, where)
        for at, each in enumerate(self._optimizer.variables):
            each.assign(optimizer[f"{at:05d}"].reshape(each.shape))

    def _head_data(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return features, classes and weights of every picture and its views."""
        pictures, everything = self._pictures, np.arange(len(self._pictures.classes))
        seen = [pictures.pixels]
        for each in range(self._config.head_views):
            seen.append(views(pictures.pixels, everything, self._config, self._seed, HEAD_VIEWS, each))
        features = np.concatenate([self._features(pixels) for pixels in seen])
        return features, np.tile(pictures.classes, len(seen)), np.tile(pictures.weights, len(seen))

    def _features(self, pixels: np.ndarray) -> np.ndarray:
        """Return the backbone's features of pictures, float32 (n, channels)."""
        size = self._config.batch_size
        parts = [self._forward(_padded(pixels[at : at + size], size)) for at in range(0, len(pixels), size)]
        return np.concatenate([np.asarray(part) for part in parts])[: len(pixels)]

    def _gradient_of(self, inputs: Any, classes: Any, weights: Any) -> tuple[Any, list[Any]]:
        with tf.GradientTape() as tape:
            logits = self._network.logits(inputs) if self._phase.layers else self._network.head(inputs)
            loss = self._loss(logits, classes, weights)
        return loss, tape.gradient(loss, self._variables)

    def _loss(self, logits: Any, classes: Any, weights: Any) -> Any:
        """Return the weighted mean cross entropy with smoothed targets; padding weighs nothing."""
        count, smoothing = len(self._config.labels), self._config.label_smoothing
        targets = tf.one_hot(classes, count) * (1 - smoothing) + smoothing / count
        losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        return tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)


def _padded(array: np.ndarray, size: int) -> np.ndarray:
    """Fill a batch with zeros, so that every step has one shape; pictures are scaled to -1..1."""
    array = scaled(array) if array.dtype == np.uint8 else array
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), array.dtype)])
