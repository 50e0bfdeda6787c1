"""What goes on beside the steps of a training: progress, early stopping, whole checkpoints, the learning curve."""

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from mlops_assets.core.errors import TaskFailed
from mlops_assets.core.family import Progress, Report
from mlops_assets.core.records.training import CurvePoint

CURVE_POINTS = 200
_WHOLE = "whole.json"
_NAMES = {"loss": "loss", "eval_loss": "held_out_loss", "learning_rate": "learning_rate"}


class Watch(TrainerCallback):
    """Reports progress, looks at the last step too, stops early, and marks checkpoints as whole."""

    def __init__(self, recipe: str, patience: int, steps: int, every: int, report: Report) -> None:
        self.recipe, self._patience, self._steps, self._every, self._report = recipe, patience, steps, every, report

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Say that training goes on from a checkpoint."""
        if state.global_step:
            self._tell(state, {}, "resumed from a checkpoint")

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Log, look and save at the last step as at those before."""
        if state.global_step >= state.max_steps:
            control.should_log = True
            control.should_evaluate = args.eval_strategy != "no"

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: Any = None, **_: Any) -> None:
        """Report losses as they are known."""
        values = {name: float(logs[key]) for key, name in _NAMES.items() if key in (logs or {})}
        if values:
            self._tell(state, values)

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop when the held-out loss has not been better for as many looks as patience says."""
        loss = state.log_history[-1]["eval_loss"]
        if not math.isfinite(loss):
            raise broken(state.global_step, loss, args.learning_rate)
        if enough(state, self._patience):
            control.should_training_stop = True

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Mark the checkpoint as whole."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        for file in folder.iterdir():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        (folder / _WHOLE).write_text(json.dumps({"recipe": self.recipe}), "utf-8")

    def _tell(self, state: TrainerState, values: dict[str, float], text: str = "") -> None:
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self._report(Progress(stage="train", done=state.global_step, total=self._steps, values=finite, text=text))


def enough(state: TrainerState, patience: int) -> bool:
    """Return whether the held-out loss has not been better for `patience` looks."""
    losses = [each["eval_loss"] for each in state.log_history if "eval_loss" in each]
    return bool(losses) and len(losses) - 1 - losses.index(min(losses)) >= patience


def ended(checkpoint: str | None, patience: int) -> int | None:
    """Return the step at which a training had stopped early when its model was about to be written, if so."""
    if checkpoint is None:
        return None
    state = TrainerState.load_from_json(str(Path(checkpoint) / TRAINER_STATE_NAME))
    return state.global_step if enough(state, patience) else None


def broken(step: int, loss: float, rate: float) -> TaskFailed:
    """Return the error of a training whose loss is not a number."""
    return TaskFailed(
        f"Training broke down after step {step}: loss {loss:.4g}.",
        f"Lower learning_rate (now {rate:g}) or raise warmup_share, then run again.",
    )


def latest(run_dir: Path, recipe: str) -> str | None:
    """Return the newest whole checkpoint of this training; all others are removed."""
    found: dict[int, Path] = {}
    for folder in run_dir.glob("checkpoint-*"):
        mark = folder / _WHOLE
        if mark.is_file() and json.loads(mark.read_text("utf-8"))["recipe"] == recipe:
            found[int(folder.name.rpartition("-")[2])] = folder
        else:
            shutil.rmtree(folder)
    return str(found[max(found)]) if found else None


def curve(state: TrainerState) -> tuple[CurvePoint, ...]:
    """Return the learning curve, at most two hundred points and every look at the held-out loss."""
    points: dict[int, dict[str, Any]] = {}
    for entry in state.log_history:
        points.setdefault(int(entry["step"]), {}).update({_NAMES[key]: entry[key] for key in _NAMES if key in entry})
    kept = [CurvePoint(step=step, **values) for step, values in sorted(points.items()) if values]
    thin = max(1, len(kept) // CURVE_POINTS)
    return tuple(
        point
        for at, point in enumerate(kept)
        if at % thin == 0 or point.held_out_loss is not None or at == len(kept) - 1
    )
