"""The exported model: one ONNX file that takes names and numbers and says what a user will think.

Vocabularies, scaling and the user table are in the graph, so that another program needs nothing but `model.onnx`:
text and double inputs of shape (n,), one for each column, names as `cleaning.py` writes them, '' and NaN for what is
missing; outputs `probabilities` (n, levels), `rating`, `probability` (that the user likes it) and `known_user` (n,).
`preference.json` holds the configuration, by which `load` cleans events as they come.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue

from mlops_assets.core.family import Predictor
from mlops_assets.families.preference.bias import BIASES, Biases, answer
from mlops_assets.families.preference.cleaning import features
from mlops_assets.families.preference.config import Config

NETWORK, SETTINGS = "model.onnx", "preference.json"


def export(model: Path, out: Path, config: Config) -> None:
    """Write `model.onnx` and `preference.json`."""
    from mlops_assets.families.preference.graph import write_graph
    from mlops_assets.families.preference.model import Model

    write_settings(out, config)
    write_graph(Model.read(model), out / NETWORK)


def write_settings(out: Path, config: Config) -> None:
    """Write the configuration beside a servable."""
    out.mkdir(parents=True, exist_ok=True)
    (out / SETTINGS).write_text(config.model_dump_json(indent=1), encoding="utf-8")


def load(servable: Path) -> Predictor:
    """Load the network, or the bias model."""
    config = Config.model_validate_json((servable / SETTINGS).read_bytes())
    if (servable / BIASES).exists():
        return Cleaned(Biases.parse((servable / BIASES).read_bytes()), config)
    return Cleaned(Network(servable / NETWORK, config), config)


class Cleaned:
    """A model that is given events as a product has them."""

    def __init__(self, model: "Biases | Network", config: Config) -> None:
        self._model = model
        self._config = config

    def predict(self, inputs: Sequence[Path | JsonValue]) -> list[JsonValue]:
        """Return {'rating', 'likes', 'probability', 'confidence', 'known_user'} for each event.

        `rating` is the expected one, `probability` that of liking it, `confidence` that of being right about it. What
        is no object is an event of which nothing is known.
        """
        values = [features(each if isinstance(each, dict) else {}, self._config) for each in inputs]
        return self._model.predict(values) if values else []


class Network:
    """An ONNX session."""

    def __init__(self, path: Path, config: Config) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._config = config

    def predict(self, values: Sequence[Mapping[str, Any]]) -> list[JsonValue]:
        """Return a prediction for each cleaned event."""
        names = (self._config.columns.user, *self._config.categorical)
        texts = {name: np.array([str(each[name] or "") for each in values], dtype=object) for name in names}
        numbers = {
            column.column: np.array([np.nan if each[column.column] is None else each[column.column] for each in values])
            for column in self._config.numeric
        }
        answers = self._session.run(["rating", "probability", "known_user"], texts | numbers)
        rating, likely, known = (np.asarray(each) for each in answers)
        return [
            answer(float(each), float(chance), bool(user))
            for each, chance, user in zip(rating, likely, known, strict=True)
        ]
