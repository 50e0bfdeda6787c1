"""What is served: each kind of task, without torch, and by other programs; companions; scores."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import JsonValue

from mlops_assets.core.dataset import read_items, write_items
from mlops_assets.core.errors import Corrupt
from mlops_assets.core.records.data import Item
from mlops_assets.families.text import FAMILY
from mlops_assets.families.text.config import Config
from mlops_assets_tests.families.examples.text import EXAMPLE
from mlops_assets_tests.families.text.models import LABELS, SETTINGS, messages, needs_torch, tiny, write_csv

pytestmark = needs_torch
TASKS: dict[str, dict[str, object]] = {
    "single_label": {"labels": LABELS, "label_column": "context"},
    "binary": {"labels": ("not_worthy", "worthy")},
    "multi_label": {
        "labels": LABELS,
        "label_column": "feelings",
        "derived": {"valence": {"greet": 1.0, "refund": -1.0}},
    },
}
WITHOUT_TORCH = """
import sys
from pathlib import Path

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "accelerate", "onnx", "sklearn"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
from mlops_assets.families.text import FAMILY
for answer in FAMILY.load(Path(sys.argv[1])).predict(sys.argv[2:]):
    print(FAMILY.show(answer))
"""
BY_HAND = """
import json, sys
import numpy, onnxruntime, tokenizers
tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
session = onnxruntime.InferenceSession(sys.argv[1] + "/model.onnx")
labels = json.load(open(sys.argv[1] + "/text.json"))["labels"]
for text in sys.argv[2:]:
    ids = numpy.array([tokenizer.encode(text).ids])
    logits = session.run(None, {"input_ids": ids, "attention_mask": numpy.ones_like(ids)})[0][0]
    print(labels[logits.argmax()])
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("text") / "base")


@pytest.fixture(scope="module", params=list(TASKS))
def made(request: pytest.FixtureRequest, base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """A line of each task with its dataset, a short training and its servable, in one folder."""
    folder = tmp_path_factory.mktemp(request.param)
    values = {**SETTINGS, "task": request.param, "base_model": str(base), "max_steps": 24, "epochs": 9}
    config = Config.model_validate({**values, **TASKS[request.param]})
    rows = [_row(row, at, config) for at, row in enumerate(messages(1, 60))]
    FAMILY.check(write_csv(folder / "batch" / "a.csv", rows), folder / "data", config, lambda _: None)
    write_items(folder / "empty", [])
    FAMILY.base(config, folder / "base")
    FAMILY.train(folder / "data", folder / "empty", folder / "base", config, 1, folder / "run", lambda _: None)
    FAMILY.export(folder / "run" / "model", folder / "servable", config)
    return config, folder


def _row(row: dict[str, str], at: int, config: Config) -> dict[str, str]:
    if config.task == "single_label":
        return {"message": row["message"], "context": row["category"]}
    if config.task == "binary":
        worthy = row["category"] == "refund"
        return {"message": row["message"], "is_worthy": str(worthy), "score": "0.9" if worthy else "0.2"}
    return {"message": row["message"], "feelings": row["category"] if at % 4 else "none"}


def test_answers_in_the_words_of_002(made: tuple[Config, Path]) -> None:
    config, folder = made
    (answer,) = FAMILY.load(folder / "servable").predict(["my money is late"])
    assert isinstance(answer, dict)
    assert 0 <= answer["confidence"] <= 1  # pyright: ignore[reportOperatorIssue]
    assert answer["key_entities"] == {}
    assert "fine-tuned bert" in str(answer["reasoning"])
    if config.task == "multi_label":
        assert set(answer["dimensions"]) == set(LABELS)  # pyright: ignore[reportArgumentType]
        scores = answer["dimensions"]
        assert answer["valence"] == pytest.approx(scores["greet"] - scores["refund"], abs=1e-5)  # pyright: ignore
        assert FAMILY.show(answer) == ";".join(answer["labels"]) or FAMILY.show(answer) == "none"  # pyright: ignore
        return
    shares = answer["probabilities"]
    assert isinstance(shares, dict)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)  # pyright: ignore
    assert answer["confidence"] == shares[str(answer["category"])]
    if config.task == "binary":
        assert answer["is_worthy"] == (answer["score"] >= 0.5)  # pyright: ignore
        assert answer["category"] == config.labels[bool(answer["is_worthy"])]
    else:
        assert answer["context"] == answer["category"]


@pytest.mark.parametrize("text", ["", " ", "a " * 5_000, "\x00", "😀" * 50, "é" * 300, None, 7])
def test_any_message_gets_an_answer(made: tuple[Config, Path], text: JsonValue) -> None:
    assert isinstance(FAMILY.load(made[1] / "servable").predict([text])[0], dict)


def test_companions_are_loaded_and_scored_like_the_servable(made: tuple[Config, Path]) -> None:
    config, folder = made
    FAMILY.companions(folder / "data", folder / "run" / "model", folder / "beside", config, 1)
    items = read_items(folder / "data")
    shown: dict[str, list[str]] = {}
    for name in ("servable", "beside/reference", "beside/classical"):
        predictions = FAMILY.load(folder / name).predict([item.value for item in items])
        shown[name] = [FAMILY.show(each) for each in predictions]
        assert len(FAMILY.score(items, predictions, config)) == len(items)
    assert np.mean([a == b for a, b in zip(shown["servable"], shown["beside/reference"], strict=True)]) > 0.95
    wanted = [str(item.target) for item in items]
    assert np.mean([a == b for a, b in zip(shown["beside/classical"], wanted, strict=True)]) > 0.95


@pytest.mark.parametrize("made", ["single_label"], indirect=True)
def test_classical_companion_is_what_scikit_learn_says(made: tuple[Config, Path]) -> None:
    config, folder = made
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    FAMILY.companions(folder / "data", folder / "run" / "model", folder / "again", config, 1)
    items = read_items(folder / "data")
    texts, wanted = [str(item.value) for item in items], [str(item.target) for item in items]
    theirs = make_pipeline(
        TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10.0, max_iter=2_000),
    ).fit(texts, wanted)
    others = [row["message"] for row in messages(5, 30)]
    for answer, shares in zip(
        FAMILY.load(folder / "again" / "classical").predict(others), theirs.predict_proba(others), strict=True
    ):
        ours = [answer["probabilities"][str(label)] for label in theirs.classes_]  # pyright: ignore
        np.testing.assert_allclose(ours, shares, atol=1e-4)


def test_a_perfect_prediction_scores_perfectly(made: tuple[Config, Path]) -> None:
    config, folder = made
    items = read_items(folder / "data")
    scored = FAMILY.score(items, [item.target for item in items], config)
    for metric in FAMILY.metrics(config):
        if not metric.mean_of:
            numerator, weight = (
                sum(getattr(each[metric.name], field) for each in scored) for field in ("numerator", "weight")
            )
            assert weight > 0
            assert numerator == pytest.approx(weight if metric.higher_is_better else 0)


def test_serves_without_torch_and_by_other_programs(made: tuple[Config, Path]) -> None:
    config, folder = made
    texts = [str(item.value) for item in read_items(folder / "data")[:12]]
    ours = [FAMILY.show(answer) for answer in FAMILY.load(folder / "servable").predict(texts)]
    for program in (WITHOUT_TORCH, BY_HAND) if config.task != "multi_label" else (WITHOUT_TORCH,):
        command = [sys.executable, "-c", program, str(folder / "servable"), *texts]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1] == ours


def test_macro_f1_of_dimensions_is_scikit_learns() -> None:
    from sklearn.metrics import f1_score, hamming_loss

    config = Config(task="multi_label", labels=("a", "b", "c"))
    draw = np.random.default_rng(1)
    wanted, given = draw.random((2, 40, 3)) < 0.4
    names = np.array(config.labels)
    items = [
        Item(id=str(i), value="x", target=";".join(names[row]) or "none", cluster="c") for i, row in enumerate(wanted)
    ]
    scored = FAMILY.score(items, [";".join(names[row]) or "none" for row in given], config)

    def ratio(name: str) -> float:
        return sum(each[name].numerator for each in scored) / sum(each[name].weight for each in scored)

    macro = FAMILY.metrics(config)[0]
    assert np.mean([ratio(name) for name in macro.mean_of]) == pytest.approx(f1_score(wanted, given, average="macro"))
    assert ratio("hamming") == pytest.approx(hamming_loss(wanted, given))
    assert ratio("subset_accuracy") == np.mean((wanted == given).all(1))


def test_a_folder_that_is_no_servable_is_named(tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match=r"text\.json"):
        FAMILY.load(tmp_path)


@pytest.mark.parametrize("kind", ["distilbert", "roberta", "albert"])
def test_every_encoder_of_source_002_is_trained_exported_and_served(tmp_path: Path, kind: str) -> None:
    config = FAMILY.Config.model_validate({**SETTINGS, "base_model": str(tiny(tmp_path / "encoder", kind=kind))})
    batch = write_csv(tmp_path / "batch" / "messages.csv", messages(1, 48))
    FAMILY.check(batch, tmp_path / "data", config, lambda _: None)
    FAMILY.base(config, tmp_path / "parent")
    (tmp_path / "run").mkdir()
    folders = (tmp_path / "data", tmp_path / "data", tmp_path / "parent")
    FAMILY.train(*folders, config, 7, tmp_path / "run", lambda _: None)
    FAMILY.export(tmp_path / "run" / "model", tmp_path / "served", config)
    EXAMPLE.agrees(tmp_path / "run" / "model", tmp_path / "served", tmp_path / "data", read_items(tmp_path / "data"))
    (long,) = FAMILY.load(tmp_path / "served").predict([" ".join(["parcel"] * 500)])
    assert FAMILY.show(long) in LABELS
