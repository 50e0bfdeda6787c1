"""Training state on disk, so that a killed run goes on from its last checkpoint and ends in the same weights.

A checkpoint is a folder that appears whole or not at all: it is written under another name, synced and renamed.
Order and views are functions of seed and pass, so none is stored.
"""

import os
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from mlops_assets.core.records.base import Record
from mlops_assets.core.records.training import CurvePoint

_PREFIX = "checkpoint-"
WEIGHTS, OPTIMIZER, STATE = "weights.safetensors", "optimizer.safetensors", "state.json"


class State(Record):
    """Where training is: `recipe` names the arguments it belongs to, `best` the weights worth keeping so far."""

    recipe: str
    phase: int = 0
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    curve: tuple[CurvePoint, ...] = ()
    best: str | None = None
    best_loss: float | None = None
    looks_without_gain: int = 0
    stopped: str = ""


def save_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Write named arrays as safetensors, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    save_file(tensors, part)
    _sync(part)
    part.replace(path)


def save(run_dir: Path, state: State, weights: dict[str, np.ndarray], optimizer: dict[str, np.ndarray]) -> None:
    """Write a checkpoint, and remove older ones and best weights that nobody refers to."""
    part = run_dir / ".checkpoint.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_tensors(part / WEIGHTS, weights)
    save_tensors(part / OPTIMIZER, optimizer)
    (part / STATE).write_text(state.canonical_json(), encoding="utf-8")
    _sync(part / STATE)
    target = run_dir / f"{_PREFIX}{state.phase:02d}-{state.epoch:06d}"
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    for folder in run_dir.glob(f"{_PREFIX}*"):
        if folder != target:
            shutil.rmtree(folder)
    for file in run_dir.glob("best-*.safetensors"):
        if file.name != state.best:
            file.unlink()


def latest(run_dir: Path, recipe: str) -> tuple[State, dict[str, np.ndarray], dict[str, np.ndarray]] | None:
    """Return the newest checkpoint of this recipe: its state, weights and optimizer; others are removed."""
    for folder in sorted(run_dir.glob(f"{_PREFIX}*"), reverse=True):
        state = State.parse((folder / STATE).read_bytes())
        if state.recipe == recipe and (state.best is None or (run_dir / state.best).is_file()):
            return state, load_file(folder / WEIGHTS), load_file(folder / OPTIMIZER)
        shutil.rmtree(folder)
    return None


def best_name(state: State) -> str:
    """Return the file that this state's weights are kept in if they are the best so far."""
    return f"best-{state.phase:02d}-{state.epoch:06d}.safetensors"


def clear(run_dir: Path) -> None:
    """Remove checkpoints and best weights once the model is written."""
    for path in [*run_dir.glob(f"{_PREFIX}*"), run_dir / ".checkpoint.part"]:
        shutil.rmtree(path, ignore_errors=True)
    for path in run_dir.glob("best-*.safetensors"):
        path.unlink()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
