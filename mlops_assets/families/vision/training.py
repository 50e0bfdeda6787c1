"""Transfer learning in two phases, the head alone, then the head and the top of the backbone; resumable."""

import math
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mlops_assets.core.dataset import training_digest
from mlops_assets.core.errors import ConfigError, Refused, TaskFailed
from mlops_assets.core.family import Progress, Report, Trained
from mlops_assets.core.records.training import CurvePoint
from mlops_assets.families.vision import checkpoints
from mlops_assets.families.vision.checkpoints import State
from mlops_assets.families.vision.config import Config
from mlops_assets.families.vision.dataset import calibration, read_known, read_pictures
from mlops_assets.families.vision.learner import Learner, Phase
from mlops_assets.families.vision.network import WEIGHTS, Settings, assign, load, read_settings, save
from mlops_assets.families.vision.starting import choose_device

CURVE_POINTS = 200


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
        self.items = read_known(data, config)
        if not self.items:
            raise Refused("No item of this dataset can be trained on.", "See the findings of its validation.")
        self.network = load(parent, Settings(labels=config.labels, size=config.size, width=config.width))
        if config.precision == "int8":
            self.network.round_weights()
        self.pictures = read_pictures(data, self.items, config)
        self.held_out = read_pictures(held_out, read_known(held_out, config), config)
        self.phases = phases(config)
        self.state = State(recipe=training_digest(data, held_out, parent / WEIGHTS, config, seed))

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

    def _phase(self, phase: Phase, found: tuple[State, dict[str, Any], dict[str, Any]] | None) -> None:
        """Go through a phase, from where the checkpoint `found` left it or from its beginning."""
        started = time.monotonic()
        learner = Learner(self.network, phase, self.pictures, self.held_out, self.config, self.seed)
        if found:
            _, weights, optimizer = found
            learner.restore(weights, optimizer, self.run_dir)
        elif not self.state.phase:
            self._look(learner)
        while self.state.epoch < phase.epochs and not self._patience_is_out():
            losses = [self._step(learner, batch, at) for at, batch in enumerate(learner.batches(self.state.epoch))]
            self._count(losses, learner, time.monotonic() - started)
            started = time.monotonic()
            if self.state.epoch % self.config.checkpoint_every == 0:
                checkpoints.save(self.run_dir, self.state, learner.weights(), learner.optimizer_state())
        self._next()

    def _step(self, learner: Learner, batch: np.ndarray, at: int) -> float:
        """Take step `at` of this pass; return its loss."""
        rate = self._rate(self.phases[self.state.phase], at)
        if not math.isfinite(loss := learner.step(batch, self.state.epoch, rate)):
            raise self._broken(f"loss {loss}")
        return loss

    def _count(self, losses: list[float], learner: Learner, seconds: float) -> None:
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

    def _look(self, learner: Learner) -> None:
        """Work out the held-out loss; keep the weights if it was never lower."""
        if not len(self.held_out.classes):
            return
        loss, state = learner.held_out_loss(), self.state
        if not math.isfinite(loss):
            raise self._broken(f"held-out loss {loss}")
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

    def _broken(self, detail: str) -> TaskFailed:
        """Return the error for a training whose numbers left the reals."""
        return TaskFailed(
            f"Training broke down after step {self.state.step}: {detail}.",
            "Lower head_learning_rate or fine_tune_learning_rate, then run again.",
        )
