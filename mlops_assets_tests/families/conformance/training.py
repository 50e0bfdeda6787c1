"""What `train` writes, twice and after it was killed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from mlops_assets.core.digests import sha256_file, sha256_folder
from mlops_assets_tests.families.conformance.prepared import SEED, Prepared

TRAIN = """
import json, os, signal, sys
from pathlib import Path
from mlops_assets.wiring.families import load_family

name, config = sys.argv[1], json.loads(sys.argv[2])
data, held_out, parent, run_dir = map(Path, sys.argv[3:7])
seed, dies = int(sys.argv[7]), sys.argv[8] == "dies"
first = []

def report(progress):
    if progress.stage == "train":
        first.append(progress.done)
        if dies and progress.done > progress.total / 2:
            os.kill(os.getpid(), signal.SIGKILL)

family = load_family(name)
config = family.Config.model_validate(config)
trained = family.train(data, held_out, parent, config, seed, run_dir, report)
curve = [[point.step, point.loss, point.held_out_loss] for point in trained.curve]
(run_dir / "told.json").write_text(json.dumps({"curve": curve, "first": min(first)}))
"""


def trains_and_improves_its_loss(it: Prepared) -> None:
    """`train` reports its steps as stage 'train', writes `run_dir/model`, and its last loss is below its first."""
    trained, model, progress = it.trained
    losses = [point.loss for point in trained.curve if point.loss is not None]
    assert losses[-1] < losses[0]
    assert trained.items == len(it.items)
    assert trained.steps == trained.curve[-1].step > 2
    assert any(model.iterdir())
    steps = [message for message in progress if message.stage == "train"]
    assert steps[-1].done == steps[-1].total == trained.steps


def repeats_to_same_digest(it: Prepared) -> None:
    """`train` with the same arguments writes the same bytes."""
    assert sha256_folder(it.train("again")[1]) == sha256_folder(it.trained[1])


def resumes_to_same_digest(it: Prepared) -> None:
    """`train`, killed past its middle and called again, goes on from a checkpoint to the same bytes and curve.

    Each call has a process of its own, as the worker has: what else a process has loaded may move last digits.
    """
    whole, killed = it.folder / "whole", it.folder / "killed"

    def train(run_dir: Path, end: str) -> int:
        run_dir.mkdir(exist_ok=True)
        arguments = (it.name, json.dumps(it.values), *map(str, (it.data, it.held_out, it.parent, run_dir, SEED)), end)
        return subprocess.run([sys.executable, "-c", TRAIN, *arguments]).returncode

    assert train(killed, "dies") == -signal.SIGKILL
    assert not (killed / "model").exists()
    assert (train(killed, "lives"), train(whole, "lives")) == (0, 0)
    assert sha256_folder(killed / "model") == sha256_folder(whole / "model")
    resumed, uncut = (json.loads((each / "told.json").read_text()) for each in (killed, whole))
    assert resumed["curve"] == uncut["curve"]
    assert resumed["first"] > uncut["first"]


def training_leaves_its_inputs_alone(it: Prepared) -> None:
    """`train` writes nothing into its data or its parent."""
    assert sha256_file(it.data / "items.jsonl") == sha256_file(it.check(it.batch, "fresh")[1] / "items.jsonl")
    before = [sha256_folder(folder) for folder in (it.data, it.held_out, it.parent)]
    it.train("once_more")
    assert [sha256_folder(folder) for folder in (it.data, it.held_out, it.parent)] == before


CHECKS = (
    trains_and_improves_its_loss,
    repeats_to_same_digest,
    resumes_to_same_digest,
    training_leaves_its_inputs_alone,
)
