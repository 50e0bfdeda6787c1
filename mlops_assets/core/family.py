"""The family protocol: how one kind of model is checked, trained, exported, loaded and scored.

Paths and records go in, paths and records come out; tensors never cross it. A family is a module (or package)
`mlops_assets.families.<name>` with one attribute `FAMILY`; the name is the registry. Importing it must be cheap:
frameworks are imported inside the methods that use them, in the worker process.

A dataset is a folder with `items.jsonl` (one `Item` a line) and the files its items name.
A model folder holds trainable weights; a servable folder is what is judged and served. Neither may hold a pickle.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel, Field, JsonValue

from mlops_assets.core.events import Reported
from mlops_assets.core.records.base import Check, Record
from mlops_assets.core.records.data import Finding, Item, Origin
from mlops_assets.core.records.training import CurvePoint

Media = Literal["json", "audio", "image"]
"""What a predictor is given: a JSON value, or the path of a file of that kind (content types audio/*, image/*)."""


class MetricSpec(Record):
    """A metric as a ratio of sums, `sum(numerator) / sum(weight)` over items, or made of such ratios."""

    name: str
    higher_is_better: bool
    unit: str
    title: str
    mean_of: tuple[str, ...] = Field(
        default=(),
        description="Metrics of the family whose ratios this one is the plain mean of (macro-F1); one without weight "
        "is left out. `score` does not return it",
    )
    root: bool = Field(default=False, description="The square root of the ratio (a root mean squared error)")
    sliced: bool = Field(
        default=True, description="Also worked out on slices; False for details such as one class's F1"
    )


class Progress(Record):
    """One progress message of a long task: `done` of `total` in `stage`, with values worth plotting."""

    stage: str
    done: int
    total: int
    text: str = ""
    values: dict[str, float] = Field(default_factory=dict)


Report = Callable[[Progress], None]


class Checked(Record):
    """What `check` found in an extracted batch, and the dataset it wrote."""

    total: int
    kept: int
    findings: tuple[Finding, ...]
    quality_score: float
    origin: Origin
    statistics: dict[str, float] = Field(default_factory=dict)
    labels: dict[str, int] = Field(
        default_factory=dict, description="Kept items by label, labels of the configuration without items included"
    )


class Trained(Record):
    """What `train` made."""

    steps: int
    items: int
    seconds: float
    device: str
    curve: tuple[CurvePoint, ...]
    stopped: str


class ItemScore(Record):
    """One metric of one item: its numerator and weight (word errors and words, hit and 1, ...)."""

    numerator: float
    weight: float


class Leak(Record):
    """An item of a batch that is, or nearly is, an item of a protected set."""

    item: str
    protected_item: str
    kind: Literal["exact", "near", "text"]


class Predictor(Protocol):
    """A loaded servable; deterministic, and indifferent to how inputs are batched."""

    def predict(self, inputs: Sequence[Path | JsonValue]) -> list[JsonValue]:
        """Return one JSON prediction per input, in order; an empty list for none."""
        ...


@runtime_checkable
class Family(Protocol):
    """What a module under `families/` provides as `FAMILY`."""

    name: str
    scorer: str
    unit: str
    media: Media
    findings: Mapping[str, str]
    Config: type[BaseModel]

    def metrics(self, config: BaseModel) -> tuple[MetricSpec, ...]:
        """Return the metrics of a line, the most telling first."""
        ...

    def labels(self, config: BaseModel) -> tuple[str, ...]:
        """Return the labels of which every item has exactly one, as `show` writes them; none for other tasks.

        Confusion and calibration are counted for a family with labels; its predictions are JSON objects with a
        `confidence` in 0..1.
        """
        ...

    def check(self, folder: Path, out: Path, config: BaseModel, report: Report) -> Checked:
        """Read the extracted batch in `folder`, keep or drop items with numbered reasons, write the dataset `out`."""
        ...

    def example(self, reported: Reported, config: BaseModel) -> dict[str, JsonValue] | str:
        """Return the row of a batch's `manifest.jsonl` by which what was reported in production can be learned.

        "" for what the family does not learn from (a rating, where labels are learned), else a few words that say why
        nothing can be learned from this one. Whether the row is any good is for `check` to say.
        """
        ...

    def leaks(self, items: Sequence[Item], protected: Sequence[Item]) -> list[Leak]:
        """Return the items that are equal or nearly equal to a protected one."""
        ...

    def base(self, config: BaseModel, out: Path) -> None:
        """Write the model folder that a line without a production version starts from."""
        ...

    def train(
        self, data: Path, held_out: Path, parent: Path, config: BaseModel, seed: int, run_dir: Path, report: Report
    ) -> Trained:
        """Fine-tune the model folder `parent` on dataset `data`; write `run_dir/model`.

        `held_out` is a dataset for early stopping only. Checkpoints go to `run_dir`; called again after a crash
        with the same arguments, training goes on from the last one and ends in the same weights.
        """
        ...

    def export(self, model: Path, out: Path, config: BaseModel) -> None:
        """Write the servable folder `out` for the model folder `model`."""
        ...

    def companions(self, data: Path, model: Path, out: Path, config: BaseModel, seed: int) -> None:
        """Write servable folders that are judged beside the candidate and never served, where they make sense.

        `out/reference`: the model before its export compressed it (full precision for INT8). `out/classical`: the
        field's simple method, fitted on the same dataset `data`.
        """
        ...

    def load(self, servable: Path) -> Predictor:
        """Load a servable folder, a companion's too."""
        ...

    def refuse(self, input: Path | JsonValue, config: BaseModel) -> str:
        """Return "" if an input can be predicted, else a sentence for who sent it, with a code of `findings`.

        Called on every request, before `predict`, on whatever came: cheap, in bounded memory, never raising for what
        somebody sent. A family of files is given a local path of any bytes; it refuses what is no path, and the others
        refuse paths. What cannot be decoded is refused here and dropped by `check`, by the same code; what is only no
        good to learn from (a blurred picture, a silent recording) is answered.
        """
        ...

    def units(self, items: Sequence[Item]) -> float:
        """Return the amount of input in `unit` (seconds of audio, images, messages), for latency per unit."""
        ...

    def score(
        self, items: Sequence[Item], predictions: Sequence[JsonValue], config: BaseModel
    ) -> list[dict[str, ItemScore]]:
        """Return, per item, the score of every metric that is no mean; a target is a right prediction.

        Whole clusters are scored as they are scored among others: a metric may look at all items of a user.
        """
        ...

    def diagnose(self, config: BaseModel) -> list[Check]:
        """Say what this machine has and lacks for the family (`mlops doctor`); `explanation` says what to do."""
        ...

    def show(self, prediction: JsonValue) -> str:
        """Return a prediction or target as the short text a person reads in a table."""
        ...
