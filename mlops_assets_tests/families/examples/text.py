"""The text family: messages of three kinds, and a BERT of 32 numbers' width."""

import csv
from pathlib import Path

import numpy as np

from mlops_assets.core.records.data import Item
from mlops_assets.families.text import FAMILY
from mlops_assets_tests.families.examples import Example
from mlops_assets_tests.families.text.models import LABELS, SETTINGS, messages, tiny, write_csv


def _config(folder: Path) -> dict:
    return {**SETTINGS, "base_model": str(tiny(folder / "base"))}


def _batch(folder: Path, seed: int) -> Path:
    return write_csv(folder / "messages.csv", messages(seed, 60))


def _disguised(batch: Path, out: Path) -> Path:
    with (batch / "messages.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return write_csv(out / "again.csv", [row | {"message": f"{row['message'].upper()} -- indeed!"} for row in rows])


def _agrees(model: Path, servable: Path, folder: Path, items: list[Item]) -> None:
    """Ask transformers itself: INT8 moves probabilities by a few hundredths."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    network = AutoModelForSequenceClassification.from_pretrained(model).eval()
    tokenizer = AutoTokenizer.from_pretrained(model)
    predictor = FAMILY.load(servable)
    for item in items:
        with torch.no_grad():
            logits = network(**tokenizer(str(item.value), return_tensors="pt")).logits[0]
        shares = logits.softmax(-1).numpy()
        (answer,) = predictor.predict([item.value])
        assert isinstance(answer, dict)
        assert isinstance(answer["probabilities"], dict)
        ours = np.array([answer["probabilities"][label] for label in LABELS])
        np.testing.assert_allclose(ours, shares, atol=0.05)
        if np.sort(shares)[-1] - np.sort(shares)[-2] > 0.1:
            assert answer["category"] == LABELS[int(shares.argmax())]


EXAMPLE = Example(
    config=_config,
    batch=_batch,
    disguised=_disguised,
    agrees=_agrees,
    requires=("torch", "transformers", "accelerate", "onnx", "onnxruntime", "sklearn", "tokenizers"),
)
