"""The checks every family has to pass, whoever wrote it: found on disk, run with its example.

`cases()` gives one pytest case for each family and check, such as `baseline:resumes_to_same_digest`. A family without
an example fails; a check is left out only where the example says why.
"""

import importlib
import importlib.util
import json
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from typing_extensions import get_protocol_members

from mlops_assets import families
from mlops_assets.adapters.executable_content import executable_content
from mlops_assets.core.dataset import item_input, read_items
from mlops_assets.core.digests import sha256_file, sha256_folder
from mlops_assets.core.events import Correction, Feedback, Prediction, Reported
from mlops_assets.core.family import Checked, Family, Progress, Trained
from mlops_assets.core.records.data import Item
from mlops_assets.wiring.families import load_family
from mlops_assets_tests.families import junk
from mlops_assets_tests.families.examples import Example

SEED = 7
UNKNOWN = {"prediction": None, "file": None}
HEAVY = (
    *("mlx", "mlx_whisper", "tensorflow", "keras", "torch", "transformers", "onnxruntime", "numba", "mlflow"),
    *("langgraph", "langchain", "dagster", "huggingface_hub", "matplotlib", "pandas", "soundfile", "jiwer"),
)

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


@dataclass(frozen=True)
class Prepared:
    """A family with its example, worked up as far as a check asks, in a folder that all its checks share."""

    name: str
    folder: Path

    @cached_property
    def family(self) -> Family:
        return load_family(self.name)

    @cached_property
    def example(self) -> Example:
        return importlib.import_module(f"mlops_assets_tests.families.examples.{self.name}").EXAMPLE

    @cached_property
    def values(self) -> dict[str, Any]:
        return self.example.config(self.folder)

    @cached_property
    def config(self) -> BaseModel:
        return self.family.Config.model_validate(self.values)

    @cached_property
    def batch(self) -> Path:
        return self.example.batch(self.folder / "batch", 1)

    @cached_property
    def data(self) -> Path:
        return self.check(self.batch, "data")[1]

    @cached_property
    def held_out(self) -> Path:
        return self.check(self.example.batch(self.folder / "other", 2), "held_out")[1]

    @cached_property
    def items(self) -> list[Item]:
        return read_items(self.data)

    @cached_property
    def inputs(self) -> list[Any]:
        return [item_input(self.data, item) for item in self.items]

    @cached_property
    def parent(self) -> Path:
        self.family.base(self.config, self.folder / "parent")
        return self.folder / "parent"

    @cached_property
    def trained(self) -> tuple[Trained, Path, list[Progress]]:
        return self.train("run")

    @cached_property
    def servable(self) -> Path:
        self.family.export(self.trained[1], self.folder / "servable", self.config)
        return self.folder / "servable"

    def check(self, batch: Path, out: str) -> tuple[Checked, Path]:
        """Check a batch; return what was found, and the dataset."""
        return self.family.check(batch, self.folder / out, self.config, lambda _: None), self.folder / out

    def train(self, name: str) -> tuple[Trained, Path, list[Progress]]:
        """Train in the run folder `name`; return the result, the model folder and the progress."""
        progress: list[Progress] = []
        run_dir = self.folder / name
        run_dir.mkdir(exist_ok=True)
        arguments = (self.data, self.held_out, self.parent, self.config, SEED, run_dir, progress.append)
        return self.family.train(*arguments), run_dir / "model", progress


def keeps_the_protocol(it: Prepared) -> None:
    """`FAMILY` has all that `core.family.Family` names, metrics with names of their own, and codes such as 'TXT001'."""
    absent = sorted(name for name in get_protocol_members(Family) if not hasattr(it.family, name))
    assert not absent, f"FAMILY lacks {', '.join(absent)}; core/family.py says what each promises"
    assert it.family.name == it.name
    metrics = it.family.metrics(it.config)
    names = [metric.name for metric in metrics]
    assert names
    assert len(set(names)) == len(names)
    assert {part for metric in metrics for part in metric.mean_of} <= {
        each.name for each in metrics if not each.mean_of
    }
    assert all(code[:3].isupper() and code[3:].isdigit() for code in it.family.findings)


def refuses_unknown_config(it: Prepared) -> None:
    """`Config` refuses keys that it does not know (extra='forbid'): a typo in a line's YAML is an error."""
    with pytest.raises(ValidationError, match="no_such_key"):
        it.family.Config.model_validate({**it.values, "no_such_key": 1})


def describes_its_config(it: Prepared) -> None:
    """Every field of `Config` has a description."""
    assert [name for name, field in it.family.Config.model_fields.items() if not field.description] == []


def survives_the_empty_batch(it: Prepared) -> None:
    """`check` of a folder without files keeps nothing and gives one finding, of severity 'quarantine'."""
    (it.folder / "nothing").mkdir()
    checked, data = it.check(it.folder / "nothing", "from_nothing")
    assert (checked.total, checked.kept) == (0, 0)
    assert [found.severity for found in checked.findings] == ["quarantine"]
    assert {found.code for found in checked.findings} <= set(it.family.findings)
    assert read_items(data) == []
    assert it.family.units([]) == 0


def check_keeps_good_items(it: Prepared) -> None:
    """`check` keeps every item of the example's batch, with an id, a cluster, a target and its file; quality >= 7."""
    checked, data = it.check(it.batch, "kept")
    items = read_items(data)
    assert checked.total == checked.kept == len(items) > 0
    assert [found for found in checked.findings if found.severity != "flag"] == []
    assert 7 <= checked.quality_score <= 10
    assert len({item.id for item in items}) == len(items)
    assert all(item.cluster and item.target is not None for item in items)
    assert all((data / item.path).is_file() for item in items if item.path is not None)
    assert it.family.units(items) > 0


def check_is_deterministic(it: Prepared) -> None:
    """`check` of the same batch twice finds the same and writes the same dataset."""
    first, data = it.check(it.batch, "once")
    second, again = it.check(it.batch, "twice")
    assert first == second
    assert sha256_folder(data) == sha256_folder(again)


def check_leaves_the_batch_alone(it: Prepared) -> None:
    """`check` writes nothing into the batch."""
    before = sha256_folder(it.batch)
    it.check(it.batch, "aside")
    assert sha256_folder(it.batch) == before


def finds_leaks(it: Prepared) -> None:
    """`leaks` calls equal items 'exact', names no strangers, and knows 95 % of the disguised items again."""
    again = it.family.leaks(it.items, it.items)
    assert {leak.item for leak in again} == {item.id for item in it.items}
    assert {leak.kind for leak in again} == {"exact"}
    assert all(leak.protected_item == leak.item for leak in again)
    assert it.family.leaks(it.items, read_items(it.held_out)) == []
    assert it.family.leaks([], it.items) == it.family.leaks(it.items, []) == []
    disguised = read_items(it.check(it.example.disguised(it.batch, it.folder / "disguise"), "disguised")[1])
    assert len(disguised) == len(it.items)
    assert len(it.family.leaks(disguised, it.items)) >= 0.95 * len(disguised)


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


def export_agrees_with_trained_model(it: Prepared) -> None:
    """`export` writes the trained model: the example works its answers out by itself; twice gives the same bytes."""
    it.example.agrees(it.trained[1], it.servable, it.data, it.items)
    it.family.export(it.trained[1], it.folder / "servable_again", it.config)
    assert sha256_folder(it.folder / "servable_again") == sha256_folder(it.servable)


def base_can_be_exported_and_served(it: Prepared) -> None:
    """What `base` writes can be exported, loaded and asked."""
    it.family.export(it.parent, it.folder / "base_servable", it.config)
    assert len(it.family.load(it.folder / "base_servable").predict(it.inputs[:2])) == 2


def predictor_is_deterministic(it: Prepared) -> None:
    """A predictor gives the same JSON twice, and once more when it is loaded anew."""
    predictor = it.family.load(it.servable)
    first = predictor.predict(it.inputs)
    assert predictor.predict(it.inputs) == first
    assert it.family.load(it.servable).predict(it.inputs) == first
    assert json.loads(json.dumps(first, allow_nan=False)) == first


def predictor_indifferent_to_batching(it: Prepared) -> None:
    """A prediction does not depend on what else is predicted with it, or in which order."""
    predictor = it.family.load(it.servable)
    together = predictor.predict(it.inputs)
    assert [predictor.predict([each])[0] for each in it.inputs] == together
    assert predictor.predict(it.inputs[::-1]) == together[::-1]


def predicts_nothing_for_nothing(it: Prepared) -> None:
    """`predict([])` and `score` of nothing are empty lists."""
    assert it.family.load(it.servable).predict([]) == []
    assert it.family.score([], [], it.config) == []


def refuses_nothing_good(it: Prepared) -> None:
    """`media` says what `predict` is given, and `refuse` says "" of every item that `check` kept."""
    assert it.family.media in ("json", "audio", "image")
    assert all(isinstance(each, Path) == (it.family.media != "json") for each in it.inputs)
    assert {it.family.refuse(each, it.config) for each in it.inputs} == {""}


def refuses_what_it_cannot_predict(it: Prepared) -> None:
    """`refuse` gives files of other media, JSON for files and all that is broken a sentence with a code of `findings`.

    It never raises; and what it does not refuse, `predict` answers, with an answer that is JSON.
    """
    made = junk.files()
    whole = [each.read_bytes() for each in it.inputs[:2] if isinstance(each, Path)]
    hurt = {f"{number}: {name}": data for number, each in enumerate(whole) for name, data in junk.damaged(each).items()}
    inputs = {**junk.VALUES, **junk.written(it.folder / "junk", made), **junk.written(it.folder / "hurt", hurt)}
    said = {name: it.family.refuse(each, it.config) for name, each in inputs.items()}
    for name, sentence in said.items():
        codes = re.findall(r"\(([A-Z]{3}\d+)\)", sentence)
        assert not sentence or (codes and codes[0] in it.family.findings and sentence.endswith(".")), (name, sentence)
    own = {"audio": "a recording", "image": "a picture"}.get(it.family.media)
    assert {name for name in made if not said[name]} - {"a picture of one pixel"} == ({own} if own else set())
    if own:
        assert [name for name in junk.VALUES if not said[name]] == []
    predictor = it.family.load(it.servable)
    for name in (name for name, sentence in said.items() if not sentence):
        json.dumps(predictor.predict([inputs[name]]), allow_nan=False)


def learns_from_what_is_reported(it: Prepared) -> None:
    """`example` gives a row that `check` keeps for corrections or for ratings; "" or a reason for all else."""
    for kind in ("correction", "feedback"):
        folder = it.folder / f"reported by {kind}"
        folder.mkdir()
        rows = [it.family.example(each, it.config) for each in reported(kind, it, folder)]
        unknown = it.family.example(next(reported(kind, it, folder)).model_copy(update=UNKNOWN), it.config)
        assert isinstance(unknown, dict | str)
        assert {type(row) for row in rows} == {dict} or set(map(str, rows)) == {""}
        if rows[0]:
            (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            checked, _ = it.check(folder, f"learned from {kind}")
            assert checked.total == checked.kept == len(rows)
            return
    pytest.fail("nothing can be learned from corrections nor from ratings")


def reported(kind: str, it: Prepared, folder: Path) -> Iterator[Reported]:
    """Yield corrections or ratings of the items' predictions; files of inputs are put into the folder as they came."""
    pictures = sorted(path for path in it.batch.rglob("*") if path.suffix in (".jpg", ".png", ".webp"))
    for at, (item, value) in enumerate(zip(it.items, pictures or it.inputs, strict=True)):
        if isinstance(value, Path):
            shutil.copyfile(value, folder / str(at))
        prediction = Prediction(
            version=1,
            arm="production",
            latency_ms=1,
            success=True,
            input={"kept": f"2026-11-21/p{at}"} if isinstance(value, Path) else value,
        )
        told = Correction(prediction_id=f"p{at}", target=it.family.show(item.target), user=f"user{at}")
        yield Reported(
            received_at="2026-11-21T08:00:00.000+00:00",
            event=told if kind == "correction" else Feedback(rating=1 + at % 5, user=f"user{at}"),
            prediction=prediction,
            file=str(at) if isinstance(value, Path) else None,
        )


def score_is_ratio_of_sums(it: Prepared) -> None:
    """`score` gives every metric that is no mean a numerator and a weight; targets as predictions score perfectly."""
    perfect = it.family.score(it.items, [item.target for item in it.items], it.config)
    for metric in it.family.metrics(it.config):
        for name in metric.mean_of or (metric.name,):
            weight = sum(score[name].weight for score in perfect)
            assert weight > 0
            found = sum(score[name].numerator for score in perfect)
            assert found == pytest.approx(weight if metric.higher_is_better else 0)
    predictions = it.family.load(it.servable).predict(it.inputs)
    assert all(isinstance(it.family.show(each), str) for each in predictions)
    assert all(it.family.show(item.target) for item in it.items)


def score_is_made_cluster_by_cluster(it: Prepared) -> None:
    """Clusters are what is resampled, so what one of them adds may not depend on the others."""
    predictions = it.family.load(it.servable).predict(it.inputs)
    whole = it.family.score(it.items, predictions, it.config)
    for cluster in {item.cluster for item in it.items}:
        members = [at for at, item in enumerate(it.items) if item.cluster == cluster]
        alone = it.family.score([it.items[at] for at in members], [predictions[at] for at in members], it.config)
        assert alone == [whole[at] for at in members]


def labels_are_what_is_shown(it: Prepared) -> None:
    """With `labels`: `show` gives one of them, `check` counts them, and predictions have a `confidence` in 0..1."""
    labels = it.family.labels(it.config)
    if not labels:
        return
    assert len(set(labels)) == len(labels) > 1
    assert {it.family.show(item.target) for item in it.items} <= set(labels)
    assert set(it.check(it.batch, "counted")[0].labels) >= set(labels)
    for prediction in it.family.load(it.servable).predict(it.inputs):
        assert isinstance(prediction, dict)
        assert it.family.show(prediction) in labels
        assert isinstance(prediction["confidence"], float)
        assert 0 <= prediction["confidence"] <= 1


def companions_can_be_served(it: Prepared) -> None:
    """`companions` writes nothing but 'reference' and 'classical', the same twice, and `load` reads them."""
    out = it.folder / "companions"
    it.family.companions(it.data, it.trained[1], out, it.config, SEED)
    made = sorted(path.name for path in out.iterdir()) if out.exists() else []
    assert set(made) <= {"reference", "classical"}
    again = it.folder / "companions_again"
    it.family.companions(it.data, it.trained[1], again, it.config, SEED)
    for name in made:
        assert sha256_folder(again / name) == sha256_folder(out / name)
        predictions = it.family.load(out / name).predict(it.inputs)
        assert len(it.family.score(it.items, predictions, it.config)) == len(it.items)
        files = [path for path in (out / name).rglob("*") if path.is_file()]
        assert {path.name: found for path in files if (found := executable_content(path))} == {}


def writes_no_pickle(it: Prepared) -> None:
    """Datasets, models and servables hold no pickle or other file that runs code when it is loaded."""
    for folder in (it.data, it.parent, it.trained[1], it.servable):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files
        assert {path.name: found for path in files if (found := executable_content(path))} == {}


def serves_from_anywhere(it: Prepared) -> None:
    """A servable names no path of the machine it was made on."""
    needle = str(it.folder).encode()
    files = [path for path in it.servable.rglob("*") if path.is_file()]
    assert [path.name for path in files if needle in path.read_bytes()] == []


def training_leaves_its_inputs_alone(it: Prepared) -> None:
    """`train` writes nothing into its data or its parent."""
    assert sha256_file(it.data / "items.jsonl") == sha256_file(it.check(it.batch, "fresh")[1] / "items.jsonl")
    before = [sha256_folder(folder) for folder in (it.data, it.held_out, it.parent)]
    it.train("once_more")
    assert [sha256_folder(folder) for folder in (it.data, it.held_out, it.parent)] == before


def import_is_light(it: Prepared) -> None:
    """Importing the family imports no framework: heavy packages are imported inside the methods that use them."""
    code = (
        f"import sys, {families.__name__}.{it.name} as family; family.FAMILY; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def diagnoses_itself(it: Prepared) -> None:
    """`diagnose` gives checks with a name and an explanation that says what to do."""
    assert all(check.name and check.explanation for check in it.family.diagnose(it.config))


CHECKS: tuple[Callable[[Prepared], None], ...] = (
    keeps_the_protocol,
    refuses_unknown_config,
    describes_its_config,
    survives_the_empty_batch,
    check_keeps_good_items,
    check_is_deterministic,
    check_leaves_the_batch_alone,
    finds_leaks,
    trains_and_improves_its_loss,
    repeats_to_same_digest,
    resumes_to_same_digest,
    export_agrees_with_trained_model,
    base_can_be_exported_and_served,
    predictor_is_deterministic,
    predictor_indifferent_to_batching,
    predicts_nothing_for_nothing,
    refuses_nothing_good,
    refuses_what_it_cannot_predict,
    learns_from_what_is_reported,
    score_is_ratio_of_sums,
    score_is_made_cluster_by_cluster,
    labels_are_what_is_shown,
    companions_can_be_served,
    writes_no_pickle,
    serves_from_anywhere,
    training_leaves_its_inputs_alone,
    import_is_light,
    diagnoses_itself,
)


def hold_to(check: Callable[[Prepared], None], it: Prepared) -> None:
    """Run a check; a failure begins with what the check asks for."""
    try:
        check(it)
    except (Exception, pytest.fail.Exception) as error:
        raise AssertionError(f"{check.__doc__}\n{type(error).__name__}: {error}") from error


def names() -> list[str]:
    """Return the families on disk."""
    return sorted(module.name for module in pkgutil.iter_modules(families.__path__))


def cases() -> list[Any]:
    """Return a pytest case for each family and check."""
    return [pytest.param(name, check, id=f"{name}:{check.__name__}") for name in names() for check in CHECKS]


def missing(example: Example) -> list[str]:
    """Return the vendor packages of a family that are not installed here."""
    return [package for package in example.requires if importlib.util.find_spec(package) is None]
