"""Preference: will a user like a result, and how much? A small network over events, written in numpy, served by ONNX.

Importing this package is cheap; numpy code, safetensors and onnx are imported by the methods, in the worker process.
Serving needs onnxruntime and numpy.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, JsonValue

from mlops_assets.core.dataset import read_items
from mlops_assets.core.events import Reported
from mlops_assets.core.family import Checked, ItemScore, Leak, Media, MetricSpec, Predictor, Report, Trained
from mlops_assets.core.records.base import Check
from mlops_assets.core.records.data import Item
from mlops_assets.families.preference.config import Config
from mlops_assets.families.preference.findings import FINDINGS

SCORER = "ratings and likes by user, version 1"
LIKES, DISLIKES = "likes", "dislikes"


class Preference:
    """The preference family; see `mlops_assets.core.family.Family` for what each method promises."""

    name = "preference"
    scorer = SCORER
    unit = "event"
    media: Media = "json"
    findings: Mapping[str, str] = FINDINGS
    Config: type[BaseModel] = Config

    def metrics(self, config: BaseModel) -> tuple[MetricSpec, ...]:
        """Return errors of the rating, NDCG by user, what 004 asks of 'likes', and the line's custom metrics."""
        from mlops_assets.families.preference.scores import metrics

        return metrics(_own(config))

    def labels(self, config: BaseModel) -> tuple[str, ...]:
        """Return 'likes' and 'dislikes'."""
        return LIKES, DISLIKES

    def check(self, folder: Path, out: Path, config: BaseModel, report: Report) -> Checked:
        """Read events; keep or drop each rating with a reason 'PRF...'; users become pseudonyms, free text goes."""
        from mlops_assets.families.preference.check import check

        return check(folder, out, _own(config), report)

    def example(self, reported: Reported, config: BaseModel) -> dict[str, JsonValue] | str:
        """Return a rating as an event in the line's own columns, with what is known of the result that was rated."""
        from mlops_assets.families.preference.reported import example

        return example(reported, _own(config))

    def leaks(self, items: Sequence[Item], protected: Sequence[Item]) -> list[Leak]:
        """Return copies of protected ratings, also with another rating, another user or without their time."""
        from mlops_assets.families.preference.items import leaks

        return leaks(items, protected)

    def base(self, config: BaseModel, out: Path) -> None:
        """Write a model that has seen nothing and finds every rating equally likely."""
        from mlops_assets.families.preference.model import untrained

        untrained(_own(config)).write(out)

    def train(
        self, data: Path, held_out: Path, parent: Path, config: BaseModel, seed: int, run_dir: Path, report: Report
    ) -> Trained:
        """Fine-tune by maximum likelihood; users and values that the parent does not know are added to it."""
        from mlops_assets.families.preference.training import train

        return train(data, held_out, parent, _own(config), seed, run_dir, report)

    def export(self, model: Path, out: Path, config: BaseModel) -> None:
        """Write `model.onnx`, which takes names and numbers, and the configuration that events are cleaned by."""
        from mlops_assets.families.preference.servable import export

        export(model, out, _own(config))

    def companions(self, data: Path, model: Path, out: Path, config: BaseModel, seed: int) -> None:
        """Write the bias model of the same ratings; the export loses nothing, so it has no twin."""
        from mlops_assets.families.preference.bias import fit, write
        from mlops_assets.families.preference.servable import write_settings

        write(fit(read_items(data), _own(config)), out / "classical")
        write_settings(out / "classical", _own(config))

    def load(self, servable: Path) -> Predictor:
        """Load a servable; predictions are {'rating', 'likes', 'probability', 'confidence', 'known_user'}."""
        from mlops_assets.families.preference.servable import load

        return load(servable)

    def refuse(self, input: Path | JsonValue, config: BaseModel) -> str:
        """Refuse what is no event of the line's columns, each value of its column's kind."""
        from mlops_assets.families.preference.cleaning import refuse

        return refuse(input, _own(config))

    def units(self, items: Sequence[Item]) -> float:
        """Return the number of events."""
        return float(len(items))

    def score(
        self, items: Sequence[Item], predictions: Sequence[JsonValue], config: BaseModel
    ) -> list[dict[str, ItemScore]]:
        """Return errors, hits and each event's part of its user's NDCG."""
        from mlops_assets.families.preference.scores import score

        return score(items, predictions, _own(config))

    def diagnose(self, config: BaseModel) -> list[Check]:
        """Say whether the packages are there."""
        from mlops_assets.families.preference.diagnosis import diagnose

        return diagnose()

    def show(self, prediction: JsonValue) -> str:
        """Return 'likes' or 'dislikes'."""
        return LIKES if isinstance(prediction, dict) and prediction.get("likes") else DISLIKES


def _own(config: BaseModel) -> Config:
    return config if isinstance(config, Config) else Config.model_validate(config.model_dump())


FAMILY = Preference()
