"""Fine-tuning: Adam over shuffled events, some of them as if of an unknown user, from a checkpoint if it was killed.

Order and dropout are functions of seed and pass, so a checkpoint holds weights, moments and the curve and no more.
A user's row moves only in steps that see the user (lazy Adam): what is known of those who are away stays as it was.
"""

import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mlops_assets.core.dataset import read_items
from mlops_assets.core.digests import sha256_folder, sha256_json
from mlops_assets.core.errors import PlatformError
from mlops_assets.core.family import Progress, Report, Trained
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Item
from mlops_assets.core.records.training import CurvePoint
from mlops_assets.families.preference import network
from mlops_assets.families.preference.config import Config
from mlops_assets.families.preference.model import Events, Model, Shape, Weights, encode, fitted

STATE = "checkpoint.json"
MOMENTUM, MEMORY, EPSILON = 0.9, 0.999, 1e-8
UNPENALISED = ("first_cut", "gaps", "hidden_bias")


class State(Record):
    """Where training is: `recipe` names the arguments it belongs to, `tensors` the file of its weights and moments."""

    recipe: str
    epoch: int = 0
    step: int = 0
    curve: tuple[CurvePoint, ...] = ()
    best_loss: float | None = None
    passes_without_gain: int = 0
    stopped: str = ""
    tensors: str = ""


@dataclass
class Learner:
    """Weights, Adam's moments of them, and the best weights so far where training may stop early."""

    weights: Weights
    first: Weights
    second: Weights
    best: Weights

    @classmethod
    def begin(cls, weights: Weights) -> "Learner":
        """Start from some weights."""
        nothing = [{name: np.zeros_like(array) for name, array in weights.items()} for _ in range(2)]
        return cls({name: array.copy() for name, array in weights.items()}, *nothing, best={})

    def step(self, events: Events, columns: tuple[str, ...], rate: float, number: int, config: Config) -> float:
        """Take step `number` (from 1) on some events and return their mean loss; PlatformError if it is no number."""
        loss, slopes, rows = network.gradient(self.weights, columns, events)
        if not math.isfinite(loss):
            raise PlatformError(f"Training diverged at step {number}.", "Lower `learning_rate` of the line.")
        correction = math.sqrt(1 - MEMORY**number) / (1 - MOMENTUM**number)
        share = np.bincount(np.searchsorted(rows, events.users), minlength=len(rows))[:, None] / len(events)
        for name, slope in slopes.items():
            part = rows if name == "user" else slice(None)
            decay = config.user_decay * share if name == "user" else 0.0 if name in UNPENALISED else config.decay
            slope = slope + decay * self.weights[name][part]
            self.first[name][part] = first = MOMENTUM * self.first[name][part] + (1 - MOMENTUM) * slope
            self.second[name][part] = second = MEMORY * self.second[name][part] + (1 - MEMORY) * slope**2
            self.weights[name][part] -= rate * correction * first / (np.sqrt(second) + EPSILON)
        return loss

    def tensors(self) -> Weights:
        """Return all arrays by name."""
        parts = {"weights": self.weights, "first": self.first, "second": self.second, "best": self.best}
        return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    @classmethod
    def of(cls, tensors: Weights) -> "Learner":
        """Return what `tensors` gave."""
        parts: dict[str, Weights] = {"weights": {}, "first": {}, "second": {}, "best": {}}
        for name, array in tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = array
        return cls(**parts)


def train(
    data: Path, held_out: Path, parent: Path, config: Config, seed: int, run_dir: Path, report: Report
) -> Trained:
    """Fine-tune `parent` on a dataset, write `run_dir/model`; PlatformError for an empty one or a loss that is none."""
    started = time.perf_counter()
    items = read_items(data)
    if not items:
        raise PlatformError("There is no rating to train on.", "Submit a batch with ratings.")
    values = [_value(item) for item in items]
    model = fitted(Model.read(parent), values, config)
    events, held = (_events(model.shape, each) for each in (items, read_items(held_out)))
    folders = [sha256_folder(folder) for folder in (data, held_out, parent)]
    state, learner = _resume(run_dir, sha256_json([*folders, config.model_dump(mode="json"), seed]), model.weights)
    steps = math.ceil(len(events) / config.batch_size)
    while state.epoch < config.epochs and not state.stopped:
        state = _epoch(state, learner, events, held, tuple(model.shape.categories), config, seed, started)
        done = state.stopped or state.epoch == config.epochs
        if done or state.epoch % config.checkpoint_every == 0:
            state = _save(run_dir, state, learner)
        total = state.step if done else steps * config.epochs
        report(Progress(stage="train", done=state.step, total=total, values=_values(state.curve[-1])))
    Model(model.shape, learner.best if state.stopped else learner.weights).write(run_dir / "model")
    return Trained(
        steps=state.step,
        items=len(items),
        seconds=time.perf_counter() - started,
        device="cpu",
        curve=state.curve,
        stopped=state.stopped or "finished",
    )


def _epoch(
    state: State,
    learner: Learner,
    events: Events,
    held: Events,
    columns: tuple[str, ...],
    config: Config,
    seed: int,
    started: float,
) -> State:
    """Pass over all events once, look at the held-out ones, and return the new state."""
    rng = np.random.default_rng([seed, state.epoch])
    order, unknown = rng.permutation(len(events)), rng.random(len(events)) < config.user_dropout
    shown = replace(events, users=np.where(unknown, 0, events.users))
    chunks = [order[at : at + config.batch_size] for at in range(0, len(order), config.batch_size)]
    total, losses, rate = len(chunks) * config.epochs, [], 0.0
    for number, at in enumerate(chunks, state.step + 1):
        rate = config.learning_rate * 0.5 * (1 + math.cos(math.pi * (number - 1) / total))
        losses.append(learner.step(shown.take(at), columns, rate, number, config) * len(at))
    held_loss = network.loss(learner.weights, columns, held) if len(held) else None
    point = CurvePoint(
        step=state.step + len(chunks),
        loss=sum(losses) / len(events),
        held_out_loss=held_loss,
        learning_rate=rate,
        seconds=time.perf_counter() - started,
    )
    progressed = {"epoch": state.epoch + 1, "step": point.step, "curve": (*state.curve, point)}
    return state.model_copy(update=progressed | _patience(state, learner, held_loss, config))


def _patience(state: State, learner: Learner, loss: float | None, config: Config) -> dict:
    """Keep the best weights and count the passes without a gain, where the configuration asks for it."""
    if not config.patience or loss is None:
        return {}
    if state.best_loss is None or loss < state.best_loss:
        learner.best = {name: array.copy() for name, array in learner.weights.items()}
        return {"best_loss": loss, "passes_without_gain": 0}
    passes = state.passes_without_gain + 1
    return {"passes_without_gain": passes, "stopped": "early stopping" if passes >= config.patience else ""}


def _resume(run_dir: Path, recipe: str, weights: Weights) -> tuple[State, Learner]:
    """Return this training's last checkpoint, or a beginning."""
    from safetensors.numpy import load_file

    path = run_dir / STATE
    if path.exists() and (state := State.parse(path.read_bytes())).recipe == recipe:
        return state, Learner.of(load_file(run_dir / state.tensors))
    return State(recipe=recipe), Learner.begin(weights)


def _save(run_dir: Path, state: State, learner: Learner) -> State:
    """Write a checkpoint: tensors under a name of their own first, then the small file that refers to them."""
    from safetensors.numpy import save

    state = state.model_copy(update={"tensors": f"checkpoint-{state.epoch:06}.safetensors"})
    _write(run_dir / state.tensors, save(learner.tensors()))
    _write(run_dir / STATE, state.canonical_json().encode())
    for path in run_dir.glob("checkpoint-*.safetensors"):
        if path.name != state.tensors:
            path.unlink()
    return state


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _events(shape: Shape, items: list[Item]) -> Events:
    ratings = [float(str(item.target["rating"])) for item in items if isinstance(item.target, dict)]
    return encode(shape, [_value(item) for item in items], ratings)


def _value(item: Item) -> dict:
    assert isinstance(item.value, dict)
    return item.value


def _values(point: CurvePoint) -> dict[str, float]:
    known = {"loss": point.loss, "held_out_loss": point.held_out_loss}
    return {name: value for name, value in known.items() if value is not None}
