"""Work that runs in a process of its own: typed requests and results, exchanged as JSON files.

The worker (`python -m mlops_assets.worker REQUEST RESULT`) reads one request and writes one result. Paths are
absolute and local; moving bytes in and out of the artifact store is the caller's part.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, TypeAdapter

from mlops_assets.core.family import Checked, Trained
from mlops_assets.core.records.base import Record


class FamilyTask(Record):
    """What every task says: whose code does it, configured how, and where it tells of its progress."""

    family: str
    config: dict[str, Any]
    progress: str = Field(description="File that progress messages are appended to, one JSON document a line")


class CheckTask(FamilyTask):
    """Check an extracted batch and write its dataset."""

    task: Literal["check"] = "check"
    folder: str
    out: str


class BaseTask(FamilyTask):
    """Write the base model of a line: a model folder and its servable."""

    task: Literal["base"] = "base"
    model: str
    servable: str


class ExportTask(FamilyTask):
    """Write the servable of a stored model folder again, by the code that is installed now."""

    task: Literal["export"] = "export"
    model: str
    servable: str


class TrainTask(FamilyTask):
    """Fine-tune `parent` and export the result."""

    task: Literal["train"] = "train"
    data: str
    held_out: str
    parent: str
    seed: int
    run_dir: str = Field(description="Holds checkpoints; results are in its model, servable and companions/<name>")


class ScoreTask(FamilyTask):
    """Load a servable in a fresh process and predict every item of the given datasets."""

    task: Literal["score"] = "score"
    servable: str
    datasets: dict[str, str] = Field(description="Set name to dataset folder")
    out: str = Field(description="Folder for <set name>.jsonl, one prediction a line in item order")


class ServeTask(FamilyTask):
    """Answer the first items of a dataset in a fresh process by the code that a gateway's model worker runs."""

    task: Literal["serve"] = "serve"
    servable: str
    data: str = Field(description="Dataset folder")
    items: int = Field(ge=1, description="How many, at most")


class OperatorError(Record):
    """A task could not begin because of the installation, not of its data; written beside the result."""

    kind: Literal["ConfigError", "MissingExtra"]
    what: str
    todo: str


class BaseResult(Record):
    """A base model was written."""

    task: Literal["base"] = "base"


class ExportResult(Record):
    """A servable was written."""

    task: Literal["export"] = "export"


class CheckResult(Record):
    """A batch was checked."""

    task: Literal["check"] = "check"
    checked: Checked


class TrainResult(Record):
    """A model was trained and exported."""

    task: Literal["train"] = "train"
    trained: Trained


class ScoreResult(Record):
    """Predictions were written."""

    task: Literal["score"] = "score"
    load_seconds: float
    predict_seconds: dict[str, float] = Field(description="By set name")
    units: dict[str, float] = Field(description="By set name, in the family's unit")


class ServedItem(Record):
    """What a client would be told of an item: the answer, or the sentence that it was refused or not answered with."""

    item: str
    output: JsonValue = None
    problem: str = ""


class ServeResult(Record):
    """Items were answered, or refused, in their order."""

    task: Literal["serve"] = "serve"
    served: tuple[ServedItem, ...]


Task = Annotated[CheckTask | BaseTask | ExportTask | TrainTask | ScoreTask | ServeTask, Field(discriminator="task")]
TaskResult = Annotated[
    CheckResult | BaseResult | ExportResult | TrainResult | ScoreResult | ServeResult, Field(discriminator="task")
]

OPERATOR_EXIT = 78  # EX_CONFIG of sysexits.h: an `OperatorError` was written to `operator_error(result)`

TASK: TypeAdapter[Task] = TypeAdapter(Task)
TASK_RESULT: TypeAdapter[TaskResult] = TypeAdapter(TaskResult)


def operator_error(result: Path) -> Path:
    """Return where a worker writes an `OperatorError` instead of its result."""
    return result.with_suffix(".error.json")
