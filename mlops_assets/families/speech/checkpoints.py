"""Training state on disk, so that a killed run goes on from its last checkpoint and ends in the same weights.

A checkpoint is a folder that appears whole or not at all: it is written under another name, synced and renamed.
Tensors are safetensors, everything else JSON. Order and randomness are functions of seed and step, so none is stored.
"""

import os
import shutil
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten

from mlops_assets.core.records.base import Record
from mlops_assets.core.records.training import CurvePoint

_PREFIX = "checkpoint-"


class State(Record):
    """Where training is: `recipe` names the arguments it belongs to, `best_step` the weights worth keeping so far."""

    recipe: str
    step: int = 0
    seconds: float = 0.0
    curve: tuple[CurvePoint, ...] = ()
    best_step: int | None = None
    best_loss: float | None = None
    looks_without_gain: int = 0
    stopped: str = ""


def flat(tree: object) -> dict[str, mx.array]:
    """Return a parameter or state tree as named arrays."""
    return dict(tree_flatten(tree))  # pyright: ignore[reportArgumentType]


def save_tensors(path: Path, tensors: dict[str, mx.array]) -> None:
    """Write named arrays as safetensors, whole or not at all."""
    part = path.with_name(f".{path.name}.part.safetensors")
    mx.save_safetensors(str(part), tensors)
    _sync(part)
    part.replace(path)


def load_tensors(path: Path) -> dict[str, mx.array]:
    """Read named arrays."""
    tensors = mx.load(str(path))
    assert isinstance(tensors, dict)
    return tensors


def save(run_dir: Path, state: State, weights: dict[str, mx.array], optimizer: dict[str, mx.array]) -> None:
    """Write the checkpoint of `state.step` and remove older ones and best weights nobody refers to."""
    part = run_dir / ".checkpoint.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_tensors(part / "weights.safetensors", weights)
    save_tensors(part / "optimizer.safetensors", optimizer)
    (part / "state.json").write_text(state.canonical_json(), "utf-8")
    _sync(part / "state.json")
    target = run_dir / f"{_PREFIX}{state.step:08d}"
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    for folder in run_dir.glob(f"{_PREFIX}*"):
        if folder != target:
            shutil.rmtree(folder)
    for file in run_dir.glob("best-*.safetensors"):
        if file != best_path(run_dir, state.best_step):
            file.unlink()


def latest(run_dir: Path, recipe: str) -> tuple[State, Path] | None:
    """Return the newest checkpoint of this recipe and its folder; those of another recipe are removed."""
    for folder in sorted(run_dir.glob(f"{_PREFIX}*"), reverse=True):
        state = State.parse((folder / "state.json").read_bytes())
        if state.recipe == recipe and (state.best_step is None or best_path(run_dir, state.best_step).is_file()):
            return state, folder
        shutil.rmtree(folder)
    return None


def best_path(run_dir: Path, step: int | None) -> Path:
    """Return where the trainable weights of the best step are kept."""
    return run_dir / f"best-{step or 0:08d}.safetensors"


def clear(run_dir: Path) -> None:
    """Remove checkpoints and best weights once the model is written."""
    for path in [*run_dir.glob(f"{_PREFIX}*"), run_dir / ".checkpoint.part"]:
        shutil.rmtree(path, ignore_errors=True)
    for path in run_dir.glob("best-*.safetensors"):
        path.unlink()


def unflat(tensors: dict[str, mx.array]) -> dict:
    """Return named arrays as the tree they came from."""
    return tree_unflatten(list(tensors.items()))  # pyright: ignore[reportReturnType]


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
