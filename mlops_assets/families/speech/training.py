"""Fine-tune Whisper: teacher-forced cross entropy, AdamW, early stopping on held-out data, resumable at any moment."""

import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
from mlx import optimizers
from mlx.utils import tree_map
from mlx_whisper.whisper import Whisper

from mlops_assets.core.dataset import training_digest
from mlops_assets.core.errors import Refused, TaskFailed
from mlops_assets.core.family import Progress, Report, Trained
from mlops_assets.core.records.training import CurvePoint
from mlops_assets.families.speech import checkpoints
from mlops_assets.families.speech.batches import Batch, Example, collate, order, read_examples
from mlops_assets.families.speech.checkpoints import State
from mlops_assets.families.speech.config import Config
from mlops_assets.families.speech.lora import add_lora, merge_lora
from mlops_assets.families.speech.network import choose_device, encode, load_network, tokenizer_for
from mlops_assets.families.speech.weights import CONFIG, WEIGHTS

CURVE_POINTS = 200


def train(
    data: Path, held_out: Path, parent: Path, config: Config, seed: int, run_dir: Path, report: Report
) -> Trained:
    """Fine-tune `parent` and write `run_dir/model`; see `Family.train`.

    Raises Refused if no item can be trained on, TaskFailed if a loss or a gradient is not a number.
    """
    device = choose_device(config.device)
    run = _Run(data, held_out, parent, config, seed, run_dir, report)
    run.to_the_end()
    run.write(parent)
    return Trained(
        steps=run.state.step,
        items=len(run.examples),
        seconds=round(run.state.seconds, 3),
        device=device,
        curve=run.state.curve,
        stopped=run.state.stopped,
    )


def learning_rate(config: Config, steps: int) -> Callable[[mx.array], mx.array]:
    """Return the schedule: a linear rise over the warm-up, then cosine or linear to zero, or constant."""
    warmup = max(1, round(steps * config.warmup_share))
    rest = max(1, steps - warmup)
    rise = optimizers.linear_schedule(config.learning_rate / warmup, config.learning_rate, warmup)
    if config.schedule == "cosine":
        fall = optimizers.cosine_decay(config.learning_rate, rest)
    else:
        end = config.learning_rate if config.schedule == "constant" else 0.0
        fall = optimizers.linear_schedule(config.learning_rate, end, rest)
    return optimizers.join_schedules([rise, fall], [warmup])


def freeze(network: Whisper, config: Config, seed: int) -> None:
    """Leave trainable what `config.method` says; the alignment heads are no weights and never are."""
    network.freeze()
    if config.method == "lora":
        add_lora(network, config.rank, config.lora_scale, seed)
        return
    network.decoder.unfreeze()
    if not config.train_embedding:
        network.decoder.token_embedding.freeze()
    if config.method == "full":
        network.encoder.unfreeze()


def total_loss(network: Whisper, batch: Batch) -> mx.array:
    """Return the cross entropy summed over the batch's counted tokens."""
    logits = network.decoder(batch.inputs, encode(network, batch.mel))[0]
    return (nn.losses.cross_entropy(logits, batch.targets) * batch.weight).sum()


class _Run:
    """One training: network, optimizer, data and the state that a checkpoint holds."""

    def __init__(
        self, data: Path, held_out: Path, parent: Path, config: Config, seed: int, run_dir: Path, report: Report
    ) -> None:
        self.config, self.seed, self.run_dir, self.report = config, seed, run_dir, report
        run_dir.mkdir(parents=True, exist_ok=True)
        self.network = load_network(parent)
        self.tokenizer = tokenizer_for(self.network, config.language)
        self.examples = read_examples(data, self.network, self.tokenizer, config)
        self.held_out = read_examples(held_out, self.network, self.tokenizer, config)
        if not self.examples:
            raise Refused("No item of this dataset can be trained on.", "See the findings of its validation.")
        self.per_epoch = math.ceil(math.ceil(len(self.examples) / config.batch_size) / config.accumulation)
        self.steps = min(config.max_steps or self.per_epoch * config.epochs, self.per_epoch * config.epochs)
        freeze(self.network, config, seed)
        self.optimizer = optimizers.AdamW(
            learning_rate=learning_rate(config, self.steps), weight_decay=config.weight_decay, bias_correction=True
        )
        self.optimizer.init(self.network.trainable_parameters())
        self.gradient = nn.value_and_grad(self.network, total_loss)
        self.losses: list[float] = []
        self.state = State(recipe=training_digest(data, held_out, parent / WEIGHTS, config, seed))

    def to_the_end(self) -> None:
        """Train from the last checkpoint, or from the parent, until a reason to stop."""
        found = checkpoints.latest(self.run_dir, self.state.recipe)
        if found:
            self._resume(*found)
        elif self.held_out:
            self._look()
        while not self.state.stopped:
            start = time.monotonic()
            rate = self._step()
            self._after_step(rate, time.monotonic() - start)

    def write(self, parent: Path) -> None:
        """Write the best weights (the last ones where nothing was held out) as `run_dir/model`."""
        if self.state.best_step is not None:
            best = checkpoints.load_tensors(checkpoints.best_path(self.run_dir, self.state.best_step))
            self.network.update(checkpoints.unflat(best))
        merge_lora(self.network)
        part, target = self.run_dir / ".model.part", self.run_dir / "model"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        weights = checkpoints.flat(self.network.parameters())
        weights.pop("alignment_heads")
        checkpoints.save_tensors(part / WEIGHTS, weights)
        shutil.copyfile(parent / CONFIG, part / CONFIG)
        facts = {"recipe": self.state.recipe, "steps": self.state.step, "best_step": self.state.best_step}
        (part / "training.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
        checkpoints.clear(self.run_dir)

    def _resume(self, state: State, folder: Path) -> None:
        self.state = state
        self.network.update(checkpoints.unflat(checkpoints.load_tensors(folder / "weights.safetensors")))
        self.optimizer.state = checkpoints.unflat(checkpoints.load_tensors(folder / "optimizer.safetensors"))
        mx.eval(self.network.parameters(), self.optimizer.state)
        self.report(Progress(stage="train", done=state.step, total=self.steps, text="resumed from a checkpoint"))

    def _step(self) -> float:
        """Take one optimizer step; return the learning rate it used."""
        batches = [[self.examples[i] for i in chosen] for chosen in self._batches(self.state.step)]
        gradients, loss, count = None, 0.0, 0
        for chosen in batches:
            batch = self._collate(chosen)
            value, new = self.gradient(self.network, batch)
            gradients = new if gradients is None else tree_map(mx.add, gradients, new)
            mx.eval(value, gradients)
            loss += float(value.item())
            count += batch.count
        gradients = tree_map(lambda array: array / count, gradients)
        gradients, norm = optimizers.clip_grad_norm(gradients, self.config.clip_norm)
        length = float(norm.item())  # pyright: ignore[reportArgumentType]
        if not math.isfinite(loss) or not math.isfinite(length):
            raise self._broken(f"loss {loss / count:.4g}, gradient norm {length:.4g}")
        self.optimizer.update(self.network, gradients)
        mx.eval(self.network.parameters(), self.optimizer.state)
        self.losses.append(loss / count)
        return float(self.optimizer.learning_rate)

    def _broken(self, detail: str) -> TaskFailed:
        return TaskFailed(
            f"Training broke down after step {self.state.step}: {detail}.",
            f"Lower learning_rate (now {self.config.learning_rate:g}) or raise warmup_share, then run again.",
        )

    def _batches(self, step: int) -> list[list[int]]:
        epoch, within = divmod(step, self.per_epoch)
        size = self.config.accumulation
        return order(self.examples, self.config.batch_size, self.seed, epoch)[within * size : (within + 1) * size]

    def _collate(self, examples: list[Example]) -> Batch:
        prompt = len(self.tokenizer.sot_sequence_including_notimestamps)
        return collate(examples, self.network, prompt, self.tokenizer.eot)

    def _after_step(self, rate: float, seconds: float) -> None:
        """Count the step; where due, note the curve, look at the held-out loss, checkpoint, and stop."""
        step = self.state.step + 1
        self.state = self.state.model_copy(update={"step": step, "seconds": self.state.seconds + seconds})
        last = step == self.steps
        looking = bool(self.held_out) and (last or step % self.config.evaluate_every == 0)
        if last or looking or step % max(1, self.steps // CURVE_POINTS) == 0:
            self._note(rate)
        if looking:
            self._look()
        if last and not self.state.stopped:
            self.state = self.state.model_copy(update={"stopped": "finished"})
        if self.state.stopped or step % self.config.checkpoint_every == 0:
            weights = checkpoints.flat(self.network.trainable_parameters())
            checkpoints.save(self.run_dir, self.state, weights, checkpoints.flat(self.optimizer.state))

    def _note(self, rate: float) -> None:
        loss = sum(self.losses) / len(self.losses)
        self.losses.clear()
        point = CurvePoint(step=self.state.step, loss=loss, learning_rate=rate, seconds=round(self.state.seconds, 3))
        self.state = self.state.model_copy(update={"curve": (*self.state.curve, point)})
        self._tell({"loss": loss, "learning_rate": rate})

    def _look(self) -> None:
        """Measure the held-out loss; keep the weights if it is the best so far, stop if it has not been for long."""
        start = time.monotonic()
        size = self.config.batch_size
        loss, count = 0.0, 0
        by_length = sorted(self.held_out, key=lambda example: example.window)
        for first in range(0, len(by_length), size):
            batch = self._collate(by_length[first : first + size])
            loss += float(total_loss(self.network, batch).item())  # pyright: ignore[reportArgumentType]
            count += batch.count
        loss /= count
        if not math.isfinite(loss):
            raise self._broken(f"held-out loss {loss:.4g}")
        state = self.state
        best = state.best_loss is None or loss < state.best_loss
        if best:
            weights = checkpoints.flat(self.network.trainable_parameters())
            checkpoints.save_tensors(checkpoints.best_path(self.run_dir, state.step), weights)
        looks = 0 if best else state.looks_without_gain + 1
        curve = state.curve or (CurvePoint(step=0),)
        changes = {
            "curve": (*curve[:-1], curve[-1].model_copy(update={"held_out_loss": loss})),
            "best_step": state.step if best else state.best_step,
            "best_loss": loss if best else state.best_loss,
            "looks_without_gain": looks,
            "stopped": "early stopping" if looks >= self.config.patience else "",
            "seconds": state.seconds + time.monotonic() - start,
        }
        self.state = state.model_copy(update=changes)
        self._tell({"held_out_loss": loss})

    def _tell(self, values: dict[str, float]) -> None:
        self.report(Progress(stage="train", done=self.state.step, total=self.steps, values=values))
