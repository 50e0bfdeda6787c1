import json
import subprocess
import sys

import pytest

from mlops_assets.core.dataset import read_items
from mlops_assets.families.preference import FAMILY
from mlops_assets.families.preference.cleaning import pseudonym
from mlops_assets_tests.families.preference.events import events
from mlops_assets_tests.families.preference.prepared import TINY, check, servable, train, value

for package in ("onnx", "onnxruntime", "safetensors"):
    pytest.importorskip(package, reason="the preference extra is not installed")

SERVE = """
import importlib.abc, json, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in "torch tensorflow transformers sklearn onnx safetensors pyarrow scipy".split():
            raise ImportError(f"{name} is not installed where models are served")

sys.meta_path.insert(0, Blocked())
from pathlib import Path
from mlops_assets.families.preference import FAMILY

print(json.dumps(FAMILY.load(Path(sys.argv[1])).predict(json.loads(sys.argv[2]))))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Rows, their items and an exported model."""
    folder = tmp_path_factory.mktemp("made")
    rows = events(3)
    _, items = check(folder, rows)
    model = train(folder, items)
    FAMILY.companions(folder / "data", model, folder / "companions", TINY, 1)
    return rows, items, servable(folder / "servable", model), folder / "companions" / "classical"


def test_serving_needs_onnxruntime_and_numpy_only(made):
    rows, _, folder, _ = made
    command = [sys.executable, "-c", SERVE, str(folder), json.dumps(rows[:5])]
    answers = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert answers == FAMILY.load(folder).predict(rows[:5])


def test_an_event_is_answered_as_the_product_has_it_and_as_the_dataset_keeps_it(made):
    rows, items, folder, _ = made
    predictor = FAMILY.load(folder)
    kept = {item.value["user"]: item.value for item in items}
    row = rows[0]
    raw, own = predictor.predict([row, kept[pseudonym(row["user"])] | {"type": row["type"].upper()}])
    assert raw["known_user"]
    assert own["known_user"]
    assert set(raw) == {"rating", "likes", "probability", "confidence", "known_user"}
    assert 1 <= raw["rating"] <= 5
    assert raw["likes"] == (raw["probability"] >= 0.5)
    assert raw["confidence"] == max(raw["probability"], round(1 - raw["probability"], 6))


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "text",
        [],
        {},
        {"type": {"a": [1]}, "bars": float("nan"), "user": 7},
        {"key": "\ud800\x00", "bars": "many"},
    ],
)
def test_whatever_is_asked_gets_an_answer(made, odd):
    for folder in made[2:]:
        (answer,) = FAMILY.load(folder).predict([odd])
        assert 1 <= answer["rating"] <= 5
        assert answer["known_user"] is False
        json.dumps(answer, allow_nan=False)


def test_the_graph_alone_serves_another_program(made):
    import numpy as np
    import onnxruntime as ort

    _, items, folder, _ = made
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    asked = {entry.name: entry.type for entry in session.get_inputs()}
    feed = {
        name: np.array([item.value[name] or "" for item in items], dtype=object)
        if kind == "tensor(string)"
        else np.array([item.value[name] for item in items], dtype=np.float64)
        for name, kind in asked.items()
    }
    probabilities, rating = session.run(["probabilities", "rating"], feed)
    assert probabilities.shape == (len(items), 5)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert (probabilities >= 0).all()
    assert np.allclose(probabilities @ np.arange(1, 6), rating)
    ours = [answer["rating"] for answer in FAMILY.load(folder).predict([item.value for item in items])]
    assert np.allclose(ours, rating, atol=1e-6)


def test_the_bias_model_shrinks_what_it_saw_seldom_and_loses_to_the_network(made):
    rows, items, folder, classical = made
    biases = json.loads((classical / "bias.json").read_text())
    mean = sum(row["rating"] for row in rows) / len(rows)
    assert biases["mean"] == pytest.approx(mean)
    chords = [row["rating"] - mean for row in rows if row["type"] == "chords"]
    assert biases["offsets"]["type"]["chords"] == pytest.approx(sum(chords) / (5 + len(chords)))
    errors = [
        value(items, FAMILY.load(each).predict([item.value for item in items]), "rmse") for each in (folder, classical)
    ]
    assert errors[0] < errors[1]


def test_a_base_answers_that_every_rating_is_as_likely(tmp_path):
    FAMILY.base(TINY, tmp_path / "base")
    (answer,) = FAMILY.load(servable(tmp_path / "servable", tmp_path / "base")).predict([{"type": "x", "bars": 300}])
    assert answer["rating"] == 3
    assert answer["probability"] == 0.4
    assert not answer["likes"]


def test_companions_are_made_of_the_same_ratings(made):
    assert sorted(path.name for path in made[3].parent.iterdir()) == ["classical"]
    assert read_items(made[3].parents[1] / "data") == made[1]
