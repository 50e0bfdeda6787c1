import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.core.dataset import write_items
from mlops_assets.core.digests import sha256_folder
from mlops_assets.core.errors import Refused, TaskFailed
from mlops_assets.core.family import Progress, Trained
from mlops_assets.families.speech import FAMILY
from mlops_assets_tests.families.speech.models import SETTINGS, dataset, needs_mlx, settings, tiny

pytestmark = needs_mlx

_TRAIN = """
import json, os, signal, sys
from pathlib import Path
from mlops_assets.families.speech import FAMILY

kill_at = int(sys.argv[5])

def report(progress):
    if progress.done >= kill_at > 0:
        os.kill(os.getpid(), signal.SIGKILL)

data, held_out, parent, run_dir = map(Path, sys.argv[1:5])
FAMILY.train(data, held_out, parent, FAMILY.Config.model_validate(json.loads(sys.argv[6])), 7, run_dir, report)
"""


def run(tmp: Path, name: str = "run", seed: int = 7, **changes: object) -> tuple[Trained, Path, list[Progress]]:
    reports: list[Progress] = []
    for folder, count, first in (("data", 6, 0), ("held", 2, 50)):
        if not (tmp / folder).exists():
            dataset(tmp / folder, count, first)
    if not (tmp / "parent").exists():
        tiny(tmp / "parent")
    arguments = (tmp / "data", tmp / "held", tmp / "parent", settings(**changes), seed, tmp / name, reports.append)
    return FAMILY.train(*arguments), tmp / name / "model", reports


@pytest.mark.parametrize("method", ["full", "decoder", "lora"])
def test_each_method_learns_and_trains_only_its_weights(tmp_path: Path, method: str) -> None:
    import mlx.core as mx

    trained, model, reports = run(tmp_path, method=method, epochs=4, accumulation=2)
    assert (trained.items, trained.steps, trained.stopped) == (6, 8, "finished")
    held_out = [point.held_out_loss for point in trained.curve if point.held_out_loss is not None]
    assert min(held_out) < held_out[0]
    assert trained.device == "cpu"
    assert reports[-1].done == reports[-1].total == 8
    before = mx.load(str(tmp_path / "parent/weights.safetensors"))
    after = mx.load(str(model / "weights.safetensors"))
    assert {name: array.shape for name, array in before.items()} == {name: array.shape for name, array in after.items()}
    changed = {
        name for name in after if not np.array_equal(np.array(before[name]).astype(np.float32), np.array(after[name]))
    }
    encoder = {name for name in changed if name.startswith("encoder")}
    assert any(name.startswith("decoder.blocks.0.cross_attn") for name in changed)
    assert bool(encoder) == (method != "decoder")
    assert ("decoder.token_embedding.weight" in changed) == (method != "lora")
    assert sorted(path.name for path in model.parent.iterdir()) == ["model"]


def test_same_seed_same_weights_other_seed_other_weights(tmp_path: Path) -> None:
    digests = [sha256_folder(run(tmp_path, f"run{i}", seed)[1]) for i, seed in enumerate((7, 7, 8))]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("kill_at", [1, 3, 5])
def test_killed_and_run_again_it_ends_in_the_same_weights(tmp_path: Path, kill_at: int) -> None:
    _, whole, _ = run(tmp_path)
    command = [
        sys.executable, "-c", _TRAIN, *(str(tmp_path / name) for name in ("data", "held", "parent", "killed"))
    ]  # fmt: skip
    died = subprocess.run([*command, str(kill_at), json.dumps(SETTINGS)], env=os.environ, check=False)
    assert died.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed/model").exists()
    _, again, reports = run(tmp_path, "killed")
    assert bool(reports[0].text) == (kill_at >= 3)
    assert sha256_folder(again) == sha256_folder(whole)


def test_early_stopping_keeps_the_best_weights(tmp_path: Path) -> None:
    trained, model, _ = run(tmp_path, learning_rate=1e-2, epochs=30, evaluate_every=1, patience=2, schedule="constant")
    assert trained.stopped == "early stopping"
    losses = {point.step: point.held_out_loss for point in trained.curve}
    best = min(losses, key=lambda step: losses[step] or 0)
    assert trained.steps == best + 2
    assert f'"best_step": {best}' in (model / "training.json").read_text()


def test_without_held_out_items_it_trains_to_the_end(tmp_path: Path) -> None:
    write_items(tmp_path / "held", [])
    trained, model, _ = run(tmp_path, max_steps=2)
    assert (trained.steps, trained.stopped) == (2, "finished")
    assert (model / "weights.safetensors").is_file()


def test_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    write_items(tmp_path / "data", [])
    with pytest.raises(Refused, match="No item"):
        run(tmp_path)


def test_values_that_are_not_numbers_stop_training_with_advice(tmp_path: Path) -> None:
    import mlx.core as mx

    path = tiny(tmp_path / "parent") / "weights.safetensors"
    weights = mx.load(str(path))
    weights["decoder.ln.bias"] = mx.full(weights["decoder.ln.bias"].shape, float("nan"))
    mx.eval(weights)
    mx.save_safetensors(str(path), weights)
    with pytest.raises(TaskFailed, match="learning_rate"):
        run(tmp_path)


def test_adamw_on_float16_weights_breaks_down_and_on_ours_does_not(tmp_path: Path) -> None:
    """mlx-whisper's loader keeps float16 under `dtype=float32`; one AdamW step on those gives NaN or infinity."""
    import mlx.core as mx
    from mlx import optimizers
    from mlx.utils import tree_flatten
    from mlx_whisper.load_models import load_model

    from mlops_assets.families.speech.network import load_network

    finite = {}
    for name, network in (("theirs", load_model(str(tiny(tmp_path / "m")))), ("ours", load_network(tmp_path / "m"))):
        weights = network.decoder.ln.weight
        optimizer = optimizers.AdamW(1e-5)
        updated = optimizer.apply_gradients({"weight": mx.zeros_like(weights)}, {"weight": weights})
        finite[name] = all(bool(mx.isfinite(array).all()) for _, array in tree_flatten(updated))
    assert finite == {"theirs": False, "ours": True}
