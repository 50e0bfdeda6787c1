"""What is exported, how it answers, what it refuses, and how answers are scored."""

import json
import re
from pathlib import Path

import pytest

from mlops_assets.adapters.executable_content import executable_content
from mlops_assets.core.digests import sha256_folder
from mlops_assets_tests.families import junk
from mlops_assets_tests.families.conformance.prepared import SEED, Prepared


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


CHECKS = (
    export_agrees_with_trained_model,
    base_can_be_exported_and_served,
    predictor_is_deterministic,
    predictor_indifferent_to_batching,
    predicts_nothing_for_nothing,
    refuses_nothing_good,
    refuses_what_it_cannot_predict,
    labels_are_what_is_shown,
    companions_can_be_served,
    writes_no_pickle,
    serves_from_anywhere,
    score_is_ratio_of_sums,
    score_is_made_cluster_by_cluster,
)
