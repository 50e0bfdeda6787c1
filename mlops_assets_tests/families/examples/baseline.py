"""The baseline family: texts of three topics."""

import json
import math
from pathlib import Path

import pytest

from mlops_assets.core.records.data import Item
from mlops_assets.families.baseline import FAMILY
from mlops_assets_tests.families.examples import Example
from mlops_assets_tests.lines import TOPICS, good_batch, write_rows


def _disguised(batch: Path, out: Path) -> Path:
    rows = [json.loads(line) for line in (batch / "texts.jsonl").read_text().splitlines()]
    write_rows(out / "texts.jsonl", [row | {"text": f"{row['text'].title()}, indeed!"} for row in rows])
    return out


def _agrees(model: Path, servable: Path, folder: Path, items: list[Item]) -> None:
    """Work out Bayes' rule in plain products from the trained counts."""
    counts = json.loads((model / "counts.json").read_text())
    predictor = FAMILY.load(servable)
    for item in items:
        words = [counts["words"][word] for word in str(item.value).split() if word in counts["words"]]
        joint = {
            label: (count + counts["smoothing"])
            * math.prod(
                (word.get(label, 0) + counts["smoothing"])
                / (
                    sum(each.get(label, 0) for each in counts["words"].values())
                    + counts["smoothing"] * len(counts["words"])
                )
                for word in words
            )
            for label, count in counts["labels"].items()
        }
        label = max(joint, key=lambda name: joint[name])
        (answer,) = predictor.predict([item.value])
        assert isinstance(answer, dict)
        assert answer["label"] == label
        assert answer["confidence"] == pytest.approx(joint[label] / sum(joint.values()))


EXAMPLE = Example(
    config=lambda folder: {"labels": list(TOPICS), "batch_size": 6},
    batch=lambda folder, seed: good_batch(folder, seed=seed, items=48),
    disguised=_disguised,
    agrees=_agrees,
)
