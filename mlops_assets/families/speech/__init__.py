"""Speech recognition: Whisper fine-tuned and served with MLX, judged by word and character error rate.

Importing this package is cheap; MLX, soundfile and the tokenizer are imported by the methods, in the worker process.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, JsonValue

from mlops_assets.core.events import Reported
from mlops_assets.core.family import Checked, ItemScore, Leak, Media, MetricSpec, Predictor, Report, Trained
from mlops_assets.core.records.base import Check
from mlops_assets.core.records.data import Item
from mlops_assets.families.speech.blas import blas, pin_threads
from mlops_assets.families.speech.config import Config
from mlops_assets.families.speech.findings import FINDINGS
from mlops_assets.families.speech.wer import SCORER


class Speech:
    """The speech family; see `mlops_assets.core.family.Family` for what each method promises."""

    name = "speech"
    scorer = SCORER
    unit = "second of audio"
    media: Media = "audio"
    findings: Mapping[str, str] = FINDINGS
    Config: type[BaseModel] = Config

    def metrics(self, config: BaseModel) -> tuple[MetricSpec, ...]:
        """Return word and character error rate."""
        return (
            MetricSpec(name="wer", higher_is_better=False, unit="share of words", title="Word error rate"),
            MetricSpec(name="cer", higher_is_better=False, unit="share of characters", title="Character error rate"),
        )

    def labels(self, config: BaseModel) -> tuple[str, ...]:
        """Return none: a transcript is no class."""
        return ()

    def check(self, folder: Path, out: Path, config: BaseModel, report: Report) -> Checked:
        """Read recordings and transcripts; keep or drop each with a reason 'SPC...'; write 16 kHz mono WAV files."""
        from mlops_assets.families.speech.check import check

        return check(folder, out, _own(config), report)

    def example(self, reported: Reported, config: BaseModel) -> dict[str, JsonValue] | str:
        """Return recording, transcript and speaker of a correction."""
        if reported.event.kind != "correction":
            return ""
        if reported.file is None:
            return reported.unknown
        return {"path": reported.file, "transcript": reported.event.target, "speaker": reported.user or ""}

    def leaks(self, items: Sequence[Item], protected: Sequence[Item]) -> list[Leak]:
        """Return items with the samples, the sound or the sentence of a protected one."""
        from mlops_assets.families.speech.fingerprints import leaks

        return leaks(items, protected)

    def base(self, config: BaseModel, out: Path) -> None:
        """Write the base weights that the configuration names as a model folder."""
        settings = _own(config)
        _prepare(settings.threads)
        from mlops_assets.families.speech.weights import write_base

        write_base(settings.base_model, out)

    def train(
        self, data: Path, held_out: Path, parent: Path, config: BaseModel, seed: int, run_dir: Path, report: Report
    ) -> Trained:
        """Fine-tune with teacher-forced cross entropy; resumes from `run_dir` to the same weights."""
        settings = _own(config)
        _prepare(settings.threads)
        from mlops_assets.families.speech.training import train

        return train(data, held_out, parent, settings, seed, run_dir, report)

    def export(self, model: Path, out: Path, config: BaseModel) -> None:
        """Write weights, dimensions and decoding settings: all that `load` needs."""
        settings = _own(config)
        _prepare(settings.threads)
        from mlops_assets.families.speech.servable import export

        export(model, out, settings)

    def companions(self, data: Path, model: Path, out: Path, config: BaseModel, seed: int) -> None:
        """Write none: half precision is too close to tell, and no simple method recognises speech."""

    def load(self, servable: Path) -> Predictor:
        """Load an exported folder; predictions are {'text', 'log_probability', 'no_speech'}."""
        _prepare(0)
        from mlops_assets.families.speech.servable import load

        return load(servable)

    def refuse(self, input: Path | JsonValue, config: BaseModel) -> str:
        """Refuse what is no recording, cannot be decoded to its end, or is shorter or longer than those kept."""
        from mlops_assets.families.speech.audio import refuse

        return refuse(input, _own(config))

    def units(self, items: Sequence[Item]) -> float:
        """Return the seconds of audio."""
        return sum(float(item.attributes["seconds"]) for item in items)

    def score(
        self, items: Sequence[Item], predictions: Sequence[JsonValue], config: BaseModel
    ) -> list[dict[str, ItemScore]]:
        """Return word errors over words and character errors over characters, after normalisation."""
        from mlops_assets.families.speech.wer import count

        counts = count([str(item.target) for item in items], [self.show(prediction) for prediction in predictions])
        return [
            {
                "wer": ItemScore(numerator=float(word_errors), weight=float(words)),
                "cer": ItemScore(numerator=float(character_errors), weight=float(characters)),
            }
            for word_errors, words, character_errors, characters in zip(*counts, strict=True)
        ]

    def diagnose(self, config: BaseModel) -> list[Check]:
        """Say whether packages, a fast BLAS and the base weights are there."""
        from mlops_assets.families.speech.diagnosis import diagnose

        return diagnose(_own(config))

    def show(self, prediction: JsonValue) -> str:
        """Return the text of a prediction or of a transcript."""
        return str(prediction["text"]) if isinstance(prediction, dict) else str(prediction)


def _own(config: BaseModel) -> Config:
    return config if isinstance(config, Config) else Config.model_validate(config.model_dump())


def _prepare(threads: int) -> None:
    """Pin threads and load a fast BLAS: both must come before the first import of MLX."""
    pin_threads(threads)
    blas()


FAMILY = Speech()
