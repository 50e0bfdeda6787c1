"""Text classification: encoders fine-tuned with transformers, served by onnxruntime and tokenizers alone.

Importing this package is cheap; torch, transformers and onnxruntime are imported by the methods, in the worker.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, JsonValue

from mlops_assets.core.events import Reported
from mlops_assets.core.family import Checked, ItemScore, Leak, Media, MetricSpec, Predictor, Report, Trained
from mlops_assets.core.records.base import Check
from mlops_assets.core.records.data import Item
from mlops_assets.families.text.config import Config
from mlops_assets.families.text.findings import FINDINGS


class Text:
    """The text family; see `mlops_assets.core.family.Family` for what each method promises."""

    name = "text"
    scorer = "equal labels, version 1"
    unit = "message"
    media: Media = "json"
    findings: Mapping[str, str] = FINDINGS
    Config: type[BaseModel] = Config

    def metrics(self, config: BaseModel) -> tuple[MetricSpec, ...]:
        """Return accuracy, macro-F1, Brier score and each label's; Hamming loss and subset accuracy for dimensions."""
        from mlops_assets.families.text.scoring import metrics

        return metrics(_own(config))

    def labels(self, config: BaseModel) -> tuple[str, ...]:
        """Return the configured labels; none where a message may have several."""
        own = _own(config)
        return () if own.task == "multi_label" else own.labels

    def check(self, folder: Path, out: Path, config: BaseModel, report: Report) -> Checked:
        """Read CSV, JSONL and Parquet; keep or drop each row with a reason 'TXT...'."""
        from mlops_assets.families.text.check import check

        return check(folder, out, _own(config), report)

    def example(self, reported: Reported, config: BaseModel) -> dict[str, JsonValue] | str:
        """Return the row of a correction, in the line's own columns."""
        from mlops_assets.families.text.reported import example

        return example(reported, _own(config))

    def leaks(self, items: Sequence[Item], protected: Sequence[Item]) -> list[Leak]:
        """Return items that are a protected message, its words, or nearly all of its words."""
        from mlops_assets.families.text.duplicates import leaks

        return leaks(items, protected)

    def base(self, config: BaseModel, out: Path) -> None:
        """Write the encoder that the configuration names with a new head for its labels."""
        from mlops_assets.families.text.weights import write_base

        write_base(_own(config), out)

    def train(
        self, data: Path, held_out: Path, parent: Path, config: BaseModel, seed: int, run_dir: Path, report: Report
    ) -> Trained:
        """Fine-tune with transformers' Trainer; resumes from `run_dir` to the same weights."""
        from mlops_assets.families.text.training import train

        return train(data, held_out, parent, _own(config), seed, run_dir, report)

    def export(self, model: Path, out: Path, config: BaseModel) -> None:
        """Write model.onnx in the configured precision, the tokenizer and how to answer: all that `load` needs."""
        from mlops_assets.families.text.export import export

        export(model, out, _own(config), _own(config).precision)

    def companions(self, data: Path, model: Path, out: Path, config: BaseModel, seed: int) -> None:
        """Write the float twin of an INT8 servable, and TF-IDF with logistic regression fitted on the same data."""
        from mlops_assets.families.text.classical import fit
        from mlops_assets.families.text.export import export

        if _own(config).precision == "int8":
            export(model, out / "reference", _own(config), "float")
        fit(data, out / "classical", _own(config), seed)

    def load(self, servable: Path) -> Predictor:
        """Load an exported folder or a companion; predictions are 002's fields, see `answers`."""
        from mlops_assets.families.text.servable import load

        return load(servable)

    def refuse(self, input: Path | JsonValue, config: BaseModel) -> str:
        """Refuse what is no text, is empty or too long, or holds control characters."""
        from mlops_assets.families.text.predictable import refuse

        return refuse(input, _own(config))

    def units(self, items: Sequence[Item]) -> float:
        """Return the number of messages."""
        return float(len(items))

    def score(
        self, items: Sequence[Item], predictions: Sequence[JsonValue], config: BaseModel
    ) -> list[dict[str, ItemScore]]:
        """Return the scores of every metric that is no mean."""
        from mlops_assets.families.text.scoring import scores

        return scores(items, predictions, _own(config))

    def diagnose(self, config: BaseModel) -> list[Check]:
        """Say whether packages and base weights are there, and where training would run."""
        from mlops_assets.families.text.diagnosis import diagnose

        return diagnose(_own(config))

    def show(self, prediction: JsonValue) -> str:
        """Return the label of a prediction or target, of several 'joy;trust'."""
        from mlops_assets.families.text.answers import label_of

        return label_of(prediction)


def _own(config: BaseModel) -> Config:
    return config if isinstance(config, Config) else Config.model_validate(config.model_dump())


FAMILY = Text()
