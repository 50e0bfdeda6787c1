"""The preference family: a hundred ratings, and a network of a few numbers' width."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.core.records.data import Item
from mlops_assets_tests.families.examples import Example
from mlops_assets_tests.families.preference.events import events, write

SMALL = {
    "hidden": 4,
    "embedding": 2,
    "user_factors": 2,
    "epochs": 12,
    "checkpoint_every": 2,
    "batch_size": 16,
    "custom_metrics": [
        {"name": "within_one", "kind": "within", "tolerance": 1},
        {"name": "hit_rate_at_3", "kind": "hit_rate_at_k", "k": 3},
        {"name": "precision_at_3", "kind": "precision_at_k", "k": 3},
        {"name": "ndcg_at_3", "kind": "ndcg_at_k", "k": 3},
    ],
}


def _disguised(batch: Path, out: Path) -> Path:
    """Write the events as CSV, in capitals, in another time zone, with notes."""
    rows = [json.loads(line) for line in (batch / "events.jsonl").read_text().splitlines()]
    out.mkdir(parents=True)
    with (out / "again.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*reversed(rows[0]), "notes"])
        writer.writeheader()
        for row in rows:
            changes = {"type": row["type"].upper(), "key": f" {row['key'].lower()}", "bars": f"{row['bars']}.0"}
            day, clock = row["timestamp"].removesuffix("Z").split("T")
            there = f"{day}T{int(clock[:2]) + 2:02}{clock[2:]}+02:00"
            writer.writerow(row | changes | {"timestamp": there, "notes": "nice"})
    return out


def _agrees(model: Path, servable: Path, folder: Path, items: list[Item]) -> None:
    """Work the network out from its weights, one event after the other, and compare with the ONNX file's answers."""
    import onnxruntime as ort
    from safetensors.numpy import load_file

    weights, shape = load_file(model / "weights.safetensors"), json.loads((model / "model.json").read_text())
    session = ort.InferenceSession(servable / "model.onnx", providers=["CPUExecutionProvider"])
    cuts = weights["first_cut"] + np.cumsum([0, *np.log1p(np.exp(weights["gaps"]))])
    for item in items:
        value = item.value
        assert isinstance(value, dict)
        inputs = []
        for name, known in shape["categories"].items():
            inputs += list(weights[f"column:{name}"][known.index(value[name]) + 1 if value[name] in known else 0])
        mean, deviation = shape["scales"]["bars"]
        inputs.append((np.log1p(value["bars"] - 1) - mean) / deviation)
        x = np.array(inputs)
        described = np.concatenate([x, np.tanh(x @ weights["hidden"] + weights["hidden_bias"])])
        row = weights["user"][shape["users"].index(value["user"]) + 1]
        score = described @ weights["quality"] + described @ weights["taste"] @ row[:-1] + row[-1]
        above = 1 / (1 + np.exp(cuts - score))
        asked = {name: np.array([value[name] or ""], dtype=object) for name in ("user", *shape["categories"])}
        rating, likely = session.run(["rating", "probability"], asked | {"bars": np.array([value["bars"]])})
        assert rating[0] == pytest.approx(1 + above.sum())
        assert likely[0] == pytest.approx(above[2])


EXAMPLE = Example(
    config=lambda folder: SMALL,
    batch=lambda folder, seed: write(folder / "events.jsonl", events(seed)),
    disguised=_disguised,
    agrees=_agrees,
    requires=("onnx", "onnxruntime", "safetensors"),
)
