"""Picture classification: MobileNetV2 tuned with TensorFlow, served as a `.tflite` file without it.

Importing this package is cheap; TensorFlow, Pillow and LiteRT are imported by the methods, in the worker process.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, JsonValue

from mlops_assets.core.classification import classification_metrics, classification_scores
from mlops_assets.core.events import Reported
from mlops_assets.core.family import Checked, ItemScore, Leak, Media, MetricSpec, Predictor, Report, Trained
from mlops_assets.core.records.base import Check
from mlops_assets.core.records.data import Item
from mlops_assets.families.vision.config import Config
from mlops_assets.families.vision.findings import FINDINGS


class Vision:
    """The vision family; see `mlops_assets.core.family.Family` for what each method promises."""

    name = "vision"
    scorer = "single label, version 1"
    unit = "picture"
    media: Media = "image"
    findings: Mapping[str, str] = FINDINGS
    Config: type[BaseModel] = Config

    def metrics(self, config: BaseModel) -> tuple[MetricSpec, ...]:
        """Return accuracy, macro-F1, Brier score, and precision, recall and F1 of each class."""
        return classification_metrics(_own(config).labels, "pictures")

    def labels(self, config: BaseModel) -> tuple[str, ...]:
        """Return the configured classes."""
        return _own(config).labels

    def check(self, folder: Path, out: Path, config: BaseModel, report: Report) -> Checked:
        """Read pictures and labels; keep or drop each with a reason 'VIS...'; write small square PNG files."""
        from mlops_assets.families.vision.check import check

        return check(folder, out, _own(config), report)

    def example(self, reported: Reported, config: BaseModel) -> dict[str, JsonValue] | str:
        """Return picture, label and source (who took it) of a correction."""
        if reported.event.kind != "correction":
            return ""
        if reported.file is None:
            return reported.unknown
        return {"path": reported.file, "label": reported.event.target, "source": reported.user or ""}

    def leaks(self, items: Sequence[Item], protected: Sequence[Item]) -> list[Leak]:
        """Return items with the pixels or nearly the look of a protected one."""
        from mlops_assets.families.vision.fingerprints import leaks

        return leaks(items, protected)

    def base(self, config: BaseModel, out: Path) -> None:
        """Write the configured backbone with a head that knows nothing as a model folder."""
        settings = _own(config)
        _start(settings, settings.base_seed)
        from mlops_assets.families.vision.weights import write_base

        write_base(settings, out)

    def train(
        self, data: Path, held_out: Path, parent: Path, config: BaseModel, seed: int, run_dir: Path, report: Report
    ) -> Trained:
        """Tune the head, then the top of the backbone; resumes from `run_dir` to the same weights."""
        settings = _own(config)
        _start(settings, seed)
        from mlops_assets.families.vision.training import train

        return train(data, held_out, parent, settings, seed, run_dir, report)

    def export(self, model: Path, out: Path, config: BaseModel) -> None:
        """Write `model.tflite` in the configured precision, with labels and preprocessing."""
        settings = _own(config)
        _start(settings, settings.base_seed)
        from mlops_assets.families.vision.export import export

        export(model, out, settings, settings.precision)

    def companions(self, data: Path, model: Path, out: Path, config: BaseModel, seed: int) -> None:
        """Write the mean-colour rule, and the model of floats where one of 8-bit integers is served."""
        settings = _own(config)
        from mlops_assets.families.vision.colours import fit
        from mlops_assets.families.vision.servable import write_servable

        write_servable(out / "classical", fit(data, settings))
        if settings.precision == "int8":
            _start(settings, seed)
            from mlops_assets.families.vision.export import export

            export(model, out / "reference", settings, "float")

    def load(self, servable: Path) -> Predictor:
        """Load an exported folder; predictions are {'label', 'confidence', 'probabilities'}."""
        from mlops_assets.families.vision.servable import load

        return load(servable)

    def refuse(self, input: Path | JsonValue, config: BaseModel) -> str:
        """Refuse what is no picture, cannot be decoded to its end, moves, or has too many pixels."""
        from mlops_assets.families.vision.pictures import refuse

        return refuse(input, _own(config))

    def units(self, items: Sequence[Item]) -> float:
        """Return the number of pictures."""
        return float(len(items))

    def score(
        self, items: Sequence[Item], predictions: Sequence[JsonValue], config: BaseModel
    ) -> list[dict[str, ItemScore]]:
        """Return the scores of a single-label classifier; a bare label stands for certainty."""
        shares = [each.get("probabilities") if isinstance(each, dict) else None for each in predictions]
        return classification_scores(
            _own(config).labels,
            [str(item.target) for item in items],
            [self.show(each) for each in predictions],
            shares,  # pyright: ignore[reportArgumentType]
        )

    def diagnose(self, config: BaseModel) -> list[Check]:
        """Say whether packages and base weights are there."""
        from mlops_assets.families.vision.diagnosis import diagnose

        return diagnose(_own(config))

    def show(self, prediction: JsonValue) -> str:
        """Return the label of a prediction or target."""
        return str(prediction["label"]) if isinstance(prediction, dict) else str(prediction)


def _own(config: BaseModel) -> Config:
    return config if isinstance(config, Config) else Config.model_validate(config.model_dump())


def _start(config: Config, seed: int) -> None:
    """Start TensorFlow before anything else imports it."""
    from mlops_assets.families.vision.starting import start

    start(config.threads, seed)


FAMILY = Vision()
