"""`train`: a candidate from the production version, this batch, and a replay of what was accepted before.

A training is known by its recipe: the digest of everything that goes into it. The same recipe is never trained twice,
and a training that was killed goes on from the checkpoints in its run folder. The decision agent may order more of
them: the same recipe with another seed, or an attempt with other settings, which takes the candidate's place.
"""

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from mlops_assets.core.dataset import merge, read_items
from mlops_assets.core.digests import sha256_json
from mlops_assets.core.errors import NotFound, Refused, TaskFailed
from mlops_assets.core.family import Trained
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Item, ValidatedData
from mlops_assets.core.records.training import CandidateModel, Companion
from mlops_assets.core.tasks import TrainResult, TrainTask
from mlops_assets.lifecycle.deployment.bootstrapping import bootstrap
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import ended, hold, production
from mlops_assets.lifecycle.progress import progress_file
from mlops_assets.lifecycle.training.base import base
from mlops_assets.lifecycle.training.split import sample, split

LOGS = (".log", ".jsonl")


class Recipe(Record):
    """Everything that goes into a training; equal recipes are one training."""

    family: str
    scorer: str
    config: dict
    seed: int
    dataset: str
    holdout_share: float
    replay_items: int
    replayed: dict[str, str]
    parent_model: str
    code_version: str


class Training(Record):
    """What a recipe gave, as store digests."""

    model: str
    servable: str
    companions: dict[Companion, str]
    trained: Trained


def train(platform: Platform, line: Line, batch_id: str) -> CandidateModel:
    """Train a candidate on an accepted batch and record it; a batch that was trained on already gives its record.

    A later attempt of the agent's stands as long as its inputs do. Refused for data that validation did not accept;
    NotFound before validation; Busy while another batch has the line; TaskFailed if the process ended without a model.
    """
    bootstrap(platform, line)
    with hold(platform, line, batch_id):
        data = _accepted(platform, line, batch_id)
        made = platform.records.get(line.line, batch_id, "candidate_model")
        known = made if isinstance(made, CandidateModel) else None
        if known is not None and ended(platform, line, batch_id):
            return known
        if known is not None and known.recipe == _recipe(platform, line, data, known.settings).digest:
            return known
        return _adopt(platform, line, data, _recipe(platform, line, data, {}), attempt=0, settings={})


def retrained(platform: Platform, line: Line, batch_id: str, settings: Mapping[str, JsonValue]) -> Training:
    """Train on the same batch with a configuration that differs in `settings` (its top keys); nothing is recorded."""
    with hold(platform, line, batch_id):
        return training(
            platform, line, batch_id, _recipe(platform, line, _accepted(platform, line, batch_id), settings)
        )


def adopt(platform: Platform, line: Line, batch_id: str, attempt: int) -> CandidateModel:
    """Put the policy's n-th other setting (n from 1) in the place of the batch's candidate, trained if it must be."""
    with hold(platform, line, batch_id):
        data, settings = _accepted(platform, line, batch_id), line.policy.retrain_with[attempt - 1]
        return _adopt(platform, line, data, _recipe(platform, line, data, settings), attempt=attempt, settings=settings)


def another_seed(platform: Platform, candidate: CandidateModel, number: int) -> Recipe:
    """Return the recipe of a candidate with its n-th other seed (n from 1), everything else the same."""
    recipe = Recipe.parse(platform.store.read_bytes(candidate.recipe))
    return recipe.model_copy(update={"seed": int(sha256_json([recipe.seed, number])[:7], 16)})


def training(platform: Platform, line: Line, batch_id: str, recipe: Recipe) -> Training:
    """Return what a recipe gives, trained in a process of its own the first time; TaskFailed says why it gives nothing.

    Recipes are kept in the artifact store: `CandidateModel.recipe` is an address there.
    """
    known = platform.home / "cache" / "trainings" / f"{recipe.digest}.json"
    if known.exists():
        made = Training.parse(known.read_bytes())
        if all(platform.store.has(each) for each in (made.model, made.servable, *made.companions.values())):
            return made
    platform.store.put_bytes(recipe.canonical_json().encode())
    run_dir = run_folder(platform, line, batch_id, recipe.digest)
    result = _run(platform, line, batch_id, recipe, run_dir)
    made = Training(
        model=platform.store.put_folder(run_dir / "model"),
        servable=platform.store.put_folder(run_dir / "servable"),
        companions=_companions(platform, run_dir / "companions"),
        trained=result.trained,
    )
    known.parent.mkdir(parents=True, exist_ok=True)
    partial = known.with_name(f"{known.name}.{uuid.uuid4().hex}")
    partial.write_text(made.canonical_json(), encoding="utf-8")
    partial.replace(known)
    _tidy(run_dir)
    return made


def run_folder(platform: Platform, line: Line, batch_id: str, recipe: str) -> Path:
    """Return the folder a training runs in: its checkpoints while it runs, its logs afterwards."""
    return platform.home / "runs" / line.line / batch_id / recipe[:16]


def _accepted(platform: Platform, line: Line, batch_id: str) -> ValidatedData:
    data = platform.records.get(line.line, batch_id, "validated_data")
    if not isinstance(data, ValidatedData):
        raise NotFound(
            f"Batch {batch_id} of {line.line} was not validated.", f"Run `mlops run {line.line} {batch_id}`."
        )
    if not data.accepted:
        why = "; ".join(f"{each.code} {each.title}" for each in data.reasons)
        raise Refused(
            f"Batch {batch_id} of {line.line} was not accepted: {why}.",
            "Correct the data and submit it as a new batch.",
        )
    return data


def _recipe(platform: Platform, line: Line, data: ValidatedData, settings: Mapping[str, JsonValue]) -> Recipe:
    served = production(platform, line)
    return Recipe(
        family=line.family,
        scorer=platform.family(line.family).scorer,
        config={**line.config, **settings},
        seed=int(sha256_json([line.line, data.dataset])[:7], 16),
        dataset=data.dataset,
        holdout_share=line.holdout_share,
        replay_items=line.replay_items,
        replayed=_earlier(platform, line, data.batch_id) if line.replay_items else {},
        parent_model=served.model if served else base(platform, line).model,
        code_version=platform.code_version(line.family),
    )


def _earlier(platform: Platform, line: Line, batch_id: str) -> dict[str, str]:
    """Return the datasets of the released batches, by batch."""
    found: dict[str, str] = {}
    for version in platform.versions.list(line.line):
        if version.batch_id is not None and version.batch_id != batch_id:
            data = platform.records.get(line.line, version.batch_id, "validated_data")
            if isinstance(data, ValidatedData):
                found[version.batch_id] = data.dataset
    return found


def _run(platform: Platform, line: Line, batch_id: str, recipe: Recipe, run_dir: Path) -> TrainResult:
    """Lay out the two datasets and run the task; `run_dir` may hold the checkpoints of a run that was killed."""
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "recipe.json").write_text(recipe.canonical_json(), encoding="utf-8")
    folder = platform.store.folder(recipe.dataset)
    parts = split(read_items(folder), recipe.holdout_share, recipe.dataset)
    merge(run_dir / "data", [(folder, parts.train), *_replay(platform, recipe)])
    merge(run_dir / "held_out", [(folder, parts.held_out)])
    task = TrainTask(
        family=recipe.family,
        config=recipe.config,
        data=str(run_dir / "data"),
        held_out=str(run_dir / "held_out"),
        parent=str(platform.store.folder(recipe.parent_model)),
        seed=recipe.seed,
        run_dir=str(run_dir),
        progress=str(progress_file(platform, line.line, batch_id)),
    )
    result = platform.compute.run(task, line.limits)
    if not isinstance(result, TrainResult):
        raise TaskFailed(f"The training process of {batch_id} answered with a {result.task} result.")
    return result


def _replay(platform: Platform, recipe: Recipe) -> list[tuple[Path, list[Item]]]:
    """Choose the replayed items over all earlier batches, and name each after its batch."""
    folders = {batch: platform.store.folder(dataset) for batch, dataset in recipe.replayed.items()}
    named = {f"{batch}:{item.id}": (batch, item) for batch, folder in folders.items() for item in read_items(folder)}
    renamed = [item.model_copy(update={"id": name}) for name, (_, item) in named.items()]
    chosen = sample(renamed, recipe.replay_items, recipe.dataset)
    return [(folder, [item for item in chosen if named[item.id][0] == batch]) for batch, folder in folders.items()]


def _adopt(
    platform: Platform,
    line: Line,
    data: ValidatedData,
    recipe: Recipe,
    *,
    attempt: int,
    settings: Mapping[str, JsonValue],
) -> CandidateModel:
    """Train if it must be, and make the result the batch's candidate."""
    made = training(platform, line, data.batch_id, recipe)
    failpoint("train: before record")
    candidate = _candidate(line, data, recipe, production(platform, line), made)
    candidate = candidate.model_copy(update={"attempt": attempt, "settings": dict(settings)})
    run_id = platform.tracker.training(line, candidate, {**recipe.config, "seed": recipe.seed})
    platform.ledger.append(
        "trained",
        line.line,
        actor="platform",
        batch_id=data.batch_id,
        body={
            "recipe": recipe.digest,
            "model": candidate.model,
            "servable": candidate.servable,
            "parent_version": candidate.parent_version,
            "replayed": list(candidate.replayed),
            "attempt": attempt,
        },
        key=f"trained:{line.line}:{data.batch_id}:{recipe.digest}",
    )
    candidate = candidate.model_copy(update={"mlflow_run_id": run_id})
    platform.records.put("candidate_model", candidate)
    failpoint("train: after record")
    return candidate


def _candidate(
    line: Line, data: ValidatedData, recipe: Recipe, served: Version | None, made: Training
) -> CandidateModel:
    trained = made.trained
    return CandidateModel(
        line=line.line,
        batch_id=data.batch_id,
        parents={"validated_data": data.digest},
        parent_version=served.version if served else None,
        parent_model=recipe.parent_model,
        model=made.model,
        servable=made.servable,
        companions=made.companions,
        recipe=recipe.digest,
        seed=recipe.seed,
        replayed=tuple(recipe.replayed),
        items=trained.items,
        steps=trained.steps,
        seconds=trained.seconds,
        device=trained.device,
        curve=trained.curve,
        stopped=trained.stopped,
        code_version=recipe.code_version,
    )


def _companions(platform: Platform, folder: Path) -> dict[Companion, str]:
    names: tuple[Companion, ...] = ("reference", "classical")
    return {name: platform.store.put_folder(folder / name) for name in names if (folder / name).is_dir()}


def _tidy(run_dir: Path) -> None:
    """Keep the logs and the recipe of a run; its datasets and weights are in the store."""
    for path in run_dir.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix not in LOGS and path.name != "recipe.json":
            path.unlink()
