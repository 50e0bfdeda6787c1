"""Transfer learning in two phases: the head alone, then the head and the top of the backbone; resumable at any moment.

While only the head learns, the backbone gives every picture the same features every time. They are worked out once,
of each picture and a few augmented views, and the head is trained on them: the same weights as running the backbone
in every step would give, at a fraction of the time. In the second phase every pass sees new views.
"""

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mlops_assets.core.dataset import ITEMS, read_items
from mlops_assets.core.digests import sha256_file, sha256_json
from mlops_assets.core.errors import ConfigError, Refused, TaskFailed
from mlops_assets.core.family import Progress, Report, Trained
from mlops_assets.core.records import CurvePoint, Item
from mlops_assets.families.vision import checkpoints
from mlops_assets.families.vision.augmentation import views
from mlops_assets.families.vision.checkpoints import State
from mlops_assets.families.vision.config import Config
from mlops_assets.families.vision.network import (
    WEIGHTS,
    Settings,
    assign,
    forward,
    load,
    name,
    read_settings,
    save,
    scaled,
)
from mlops_assets.families.vision.pictures import read_picture
from mlops_assets.families.vision.starting import choose_device

CURVE_POINTS = 200
HEAD_VIEWS, ORDER, FINE_VIEWS = 1, 2, 3


@dataclass(frozen=True)
class Phase:
    """A stretch of training: which layers of the backbone's top learn beside the head, how long and how fast."""

    name: str
    layers: int
    epochs: int
    learning_rate: float
    falling: bool


@dataclass(frozen=True)
class Pictures:
    """Pictures uint8 (n, size, size, 3), their classes (n,) and what each counts (n,)."""

    pixels: np.ndarray
    classes: np.ndarray
    weights: np.ndarray


def train(
    data: Path, held_out: Path, parent: Path, config: Config, seed: int, run_dir: Path, report: Report
) -> Trained:
    """Fine-tune `parent` and write `run_dir/model`; see `Family.train`.

    Raises Refused if there is nothing to train on, TaskFailed if a loss is not a number.
    """
    device = choose_device(config.device)
    with tf.device(device):
        run = _Run(data, held_out, parent, config, seed, run_dir, report)
        run.to_the_end()
        run.write()
    return Trained(
        steps=run.state.step,
        items=len(run.items),
        seconds=round(run.state.seconds, 3),
        device=device.strip("/").lower().replace(":0", ""),
        curve=run.state.curve,
        stopped=run.state.stopped,
    )


def phases(config: Config) -> list[Phase]:
    """Return the phases of a training."""
    head = Phase("head", 0, config.head_epochs, config.head_learning_rate, falling=False)
    top = Phase("top", config.fine_tune_layers, config.fine_tune_epochs, config.fine_tune_learning_rate, falling=True)
    return [head, top] if top.layers and top.epochs else [head]


def balanced(classes: np.ndarray, count: int) -> np.ndarray:
    """Return what each item counts so that classes count alike: n / (classes present * n of its class)."""
    sizes = np.bincount(classes, minlength=count)
    return (len(classes) / (np.count_nonzero(sizes) * sizes[classes])).astype(np.float32)


def read_pictures(folder: Path, items: Sequence[Item], config: Config) -> Pictures:
    """Read the pictures of a dataset."""
    shape = (config.size, config.size, 3)
    pixels = np.stack([read_picture(folder / str(item.path), config.size).pixels for item in items]) if items else None
    classes = np.array([config.labels.index(str(item.target)) for item in items], np.int32)
    weights = np.ones(len(items), np.float32)
    if items and config.class_weights == "balanced":
        weights = balanced(classes, len(config.labels))
    return Pictures(np.empty((0, *shape), np.uint8) if pixels is None else pixels, classes, weights)


def calibration(pictures: Pictures, config: Config) -> np.ndarray:
    """Return pictures to measure INT8 ranges with: class by class in turn, in the order of the dataset."""
    rank = np.zeros(len(pictures.classes), int)
    for label in range(len(config.labels)):
        own = pictures.classes == label
        rank[own] = np.arange(own.sum())
    return pictures.pixels[np.argsort(rank, kind="stable")[: config.calibration_items]]


class _Run:
    """One training: network, data and the state that a checkpoint holds."""

    def __init__(
        self, data: Path, held_out: Path, parent: Path, config: Config, seed: int, run_dir: Path, report: Report
    ) -> None:
        self.config, self.seed, self.run_dir, self.report = config, seed, run_dir, report
        run_dir.mkdir(parents=True, exist_ok=True)
        if (width := read_settings(parent).width) != config.width:
            raise ConfigError(
                f"The parent model has width {width}, the line asks for {config.width}.",
                "Keep the width, or start a new line.",
            )
        self.items = _of_labels(data, config)
        if not self.items:
            raise Refused("No item of this dataset can be trained on.", "See the findings of its validation.")
        self.network = load(parent, Settings(labels=config.labels, size=config.size, width=config.width))
        if config.precision == "int8":
            self.network.round_weights()
        self.pictures = read_pictures(data, self.items, config)
        self.held_out = read_pictures(held_out, _of_labels(held_out, config), config)
        self.phases = phases(config)
        self.state = State(recipe=_recipe(data, held_out, parent, config, seed))
        self._features = forward(self.network)

    def to_the_end(self) -> None:
        """Train from the last checkpoint, or from the parent, until every phase has ended."""
        found = checkpoints.latest(self.run_dir, self.state.recipe)
        if found:
            self.state = found[0]
            done = self.state.step
            self.report(Progress(stage="train", done=done, total=self._total(), text="resumed from a checkpoint"))
        while not self.state.stopped:
            self._phase(self.phases[self.state.phase], found)
            found = None

    def write(self) -> None:
        """Write the best weights (the last ones where nothing was held out) as `run_dir/model`."""
        self._take_best()
        if self.config.precision == "int8":
            self.network.round_weights()
        part, target = self.run_dir / ".model.part", self.run_dir / "model"
        shutil.rmtree(part, ignore_errors=True)
        settings = self.network.settings.model_copy(update={"steps": self.state.step, "recipe": self.state.recipe})
        save(part, self.network, calibration(self.pictures, self.config), settings)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
        checkpoints.clear(self.run_dir)

    def _phase(self, phase: Phase, found: Any) -> None:
        """Go through a phase, from where the checkpoint `found` left it or from its beginning."""
        started = time.monotonic()
        learner = _Learner(self, phase)
        if found:
            learner.restore(*found[1:])
        elif not self.state.phase:
            self._look(learner)
        while self.state.epoch < phase.epochs and not self._patience_is_out():
            losses = [
                learner.step(batch, self._rate(phase, at)) for at, batch in enumerate(learner.batches(self.state))
            ]
            self._count(losses, learner, time.monotonic() - started)
            started = time.monotonic()
            if self.state.epoch % self.config.checkpoint_every == 0:
                checkpoints.save(self.run_dir, self.state, learner.weights(), learner.optimizer_state())
        self._next()

    def _count(self, losses: list[float], learner: "_Learner", seconds: float) -> None:
        """Note a pass over the data on the curve, look at the held-out loss, and say how far training is."""
        state = self.state
        every = max(1, self._total() // CURVE_POINTS)
        steps = range(state.step + 1, state.step + len(losses) + 1)
        points = [
            CurvePoint(step=step, loss=loss, seconds=round(state.seconds + seconds, 3))
            for step, loss in zip(steps, losses, strict=True)
            if step % every == 0 or step == steps[-1]
        ]
        self.state = state.model_copy(
            update={
                "epoch": state.epoch + 1,
                "step": state.step + len(losses),
                "curve": (*state.curve, *points),
                "seconds": state.seconds + seconds,
            }
        )
        self._look(learner)
        last = self.state.curve[-1]
        values = {"loss": last.loss, "held_out_loss": last.held_out_loss}
        known = {key: value for key, value in values.items() if value is not None}
        self.report(Progress(stage="train", done=self.state.step, total=self._total(), values=known))

    def _look(self, learner: "_Learner") -> None:
        """Work out the held-out loss; keep the weights if it was never lower."""
        if not len(self.held_out.classes):
            return
        loss, state = learner.held_out_loss(), self.state
        if not math.isfinite(loss):
            raise self.broken(f"held-out loss {loss}")
        best = state.best_loss is None or loss < state.best_loss
        if best:
            checkpoints.save_tensors(self.run_dir / checkpoints.best_name(state), learner.weights())
        curve = state.curve or (CurvePoint(step=0),)
        self.state = state.model_copy(
            update={
                "curve": (*curve[:-1], curve[-1].model_copy(update={"held_out_loss": loss})),
                "best": checkpoints.best_name(state) if best else state.best,
                "best_loss": loss if best else state.best_loss,
                "looks_without_gain": 0 if best else state.looks_without_gain + 1,
            }
        )

    def _patience_is_out(self) -> bool:
        return self.state.looks_without_gain >= self.config.patience

    def _next(self) -> None:
        """Go to the next phase with the best weights so far, or stop."""
        early, last = self._patience_is_out(), self.state.phase + 1 == len(self.phases)
        if last:
            stopped = "early stopping" if early else "finished"
            self.state = self.state.model_copy(update={"stopped": stopped})
            self.report(Progress(stage="train", done=self.state.step, total=self.state.step, text=stopped))
            return
        self._take_best()
        self.state = self.state.model_copy(update={"phase": self.state.phase + 1, "epoch": 0, "looks_without_gain": 0})

    def _take_best(self) -> None:
        if self.state.best is not None:
            best = checkpoints.load_file(self.run_dir / self.state.best)
            variables = self.network.variables()
            assign({key: variables[key] for key in best}, best, self.run_dir)

    def _rate(self, phase: Phase, at: int) -> float:
        """Return the learning rate of step `at` of this pass: rising over the warm-up, then a cosine, if it falls."""
        if not phase.falling:
            return phase.learning_rate
        done = (self.state.epoch + (at + 1) / self._per_epoch(phase)) / phase.epochs
        rising = min(1.0, done / self.config.warmup_share) if self.config.warmup_share else 1.0
        return phase.learning_rate * rising * (1 + math.cos(math.pi * min(1.0, done))) / 2

    def _per_epoch(self, phase: Phase) -> int:
        copies = 1 if phase.layers else 1 + self.config.head_views
        return math.ceil(len(self.items) * copies / self.config.batch_size)

    def _total(self) -> int:
        """Return how many steps training takes at most from here."""
        rest = self.phases[self.state.phase :]
        ahead = sum(phase.epochs * self._per_epoch(phase) for phase in rest)
        return self.state.step + ahead - self.state.epoch * self._per_epoch(rest[0])

    def broken(self, detail: str) -> TaskFailed:
        """Return the error for a training whose numbers left the reals."""
        return TaskFailed(
            f"Training broke down after step {self.state.step}: {detail}.",
            "Lower head_learning_rate or fine_tune_learning_rate, then run again.",
        )

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Return the backbone's features of pictures, float32 (n, channels)."""
        size = self.config.batch_size
        parts = [self._features(_padded(pixels[at : at + size], size)) for at in range(0, len(pixels), size)]
        return np.concatenate([np.asarray(part) for part in parts])[: len(pixels)]


class _Learner:
    """What learns in one phase: its variables, its optimizer, and the data as the phase sees them."""

    def __init__(self, run: _Run, phase: Phase) -> None:
        self._run, self._phase, self._network = run, phase, run.network
        self._variables = [*run.network.head.trainable_variables, *run.network.top(phase.layers)]
        self._optimizer: Any = keras.optimizers.AdamW(
            phase.learning_rate, weight_decay=run.config.weight_decay, global_clipnorm=run.config.clip_norm
        )
        self._optimizer.build(self._variables)
        self._gradient = tf.function(self._gradient_of)
        if not phase.layers:
            self._inputs, self._classes, self._weights = self._head_data()
            self._held = run.features(run.held_out.pixels) if len(run.held_out.classes) else run.held_out.pixels

    def batches(self, state: State) -> list[np.ndarray]:
        """Return the items of each step of this pass, in the pass's own order."""
        count = len(self._inputs) if not self._phase.layers else len(self._run.items)
        draw = np.random.default_rng([self._run.seed, ORDER, state.phase, state.epoch])
        order, size = draw.permutation(count), self._run.config.batch_size
        return [order[at : at + size] for at in range(0, count, size)]

    def step(self, batch: np.ndarray, rate: float) -> float:
        """Take one optimizer step; return the mean loss of its items."""
        run, size = self._run, self._run.config.batch_size
        if self._phase.layers:
            key = (run.seed, FINE_VIEWS, run.state.epoch)
            inputs = views(run.pictures.pixels, batch, run.config, *key)
            classes, weights = run.pictures.classes[batch], run.pictures.weights[batch]
        else:
            inputs, classes, weights = self._inputs[batch], self._classes[batch], self._weights[batch]
        loss, gradients = self._gradient(_padded(inputs, size), _padded(classes, size), _padded(weights, size))
        value = float(loss)
        if not math.isfinite(value):
            raise run.broken(f"loss {value}")
        self._optimizer.learning_rate = rate
        self._optimizer.apply(gradients, self._variables)
        return value

    def held_out_loss(self) -> float:
        """Return the mean loss of the held-out pictures as they are."""
        run = self._run
        features = run.features(run.held_out.pixels) if self._phase.layers else self._held
        return float(self._loss(self._network.head(features), run.held_out.classes, run.held_out.weights))

    def weights(self) -> dict[str, np.ndarray]:
        """Return what this phase has changed, by name."""
        return {name(each): np.asarray(each) for each in self._variables}

    def optimizer_state(self) -> dict[str, np.ndarray]:
        """Return the optimizer's variables by position."""
        return {f"{at:05d}": np.atleast_1d(each) for at, each in enumerate(self._optimizer.variables)}

    def restore(self, weights: dict[str, np.ndarray], optimizer: dict[str, np.ndarray]) -> None:
        """Take up a checkpoint."""
        assign({name(each): each for each in self._variables}, weights, self._run.run_dir)
        for at, each in enumerate(self._optimizer.variables):
            each.assign(optimizer[f"{at:05d}"].reshape(each.shape))

    def _head_data(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return features, classes and weights of every picture and its views."""
        run, everything = self._run, np.arange(len(self._run.items))
        seen = [run.pictures.pixels]
        for each in range(run.config.head_views):
            seen.append(views(run.pictures.pixels, everything, run.config, run.seed, HEAD_VIEWS, each))
        copies = len(seen)
        features = np.concatenate([run.features(pixels) for pixels in seen])
        return features, np.tile(run.pictures.classes, copies), np.tile(run.pictures.weights, copies)

    def _gradient_of(self, inputs: Any, classes: Any, weights: Any) -> tuple[Any, list[Any]]:
        with tf.GradientTape() as tape:
            logits = self._network.logits(inputs) if self._phase.layers else self._network.head(inputs)
            loss = self._loss(logits, classes, weights)
        return loss, tape.gradient(loss, self._variables)

    def _loss(self, logits: Any, classes: Any, weights: Any) -> Any:
        """Return the weighted mean cross entropy with smoothed targets; padding weighs nothing."""
        count, smoothing = len(self._run.config.labels), self._run.config.label_smoothing
        targets = tf.one_hot(classes, count) * (1 - smoothing) + smoothing / count
        losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        return tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)


def _of_labels(folder: Path, config: Config) -> list[Item]:
    """Return the items of a dataset; those replayed from a time when the line had other labels are left out."""
    return [item for item in read_items(folder) if item.target in config.labels]


def _padded(array: np.ndarray, size: int) -> np.ndarray:
    """Fill a batch with zeros, so that every step has one shape; pictures are scaled to -1..1."""
    array = scaled(array) if array.dtype == np.uint8 else array
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), array.dtype)])


def _recipe(data: Path, held_out: Path, parent: Path, config: Config, seed: int) -> str:
    return sha256_json(
        {
            "data": sha256_file(data / ITEMS),
            "held_out": sha256_file(held_out / ITEMS),
            "parent": sha256_file(parent / WEIGHTS),
            "config": config.model_dump(mode="json"),
            "seed": seed,
        }
    )
