"""What the report of a line says, as one record: the page draws it, `mlops report --json` prints it."""

from pydantic import Field

from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Origin, Severity
from mlops_assets.core.records.decision import Verdict
from mlops_assets.core.records.evaluation import Comparison, SetKind, System, SystemReport
from mlops_assets.core.records.training import CurvePoint
from mlops_assets.lifecycle.evaluation.examples import Shown


class BatchRow(Record):
    """One batch and how it ended."""

    batch_id: str
    received_at: str
    contributor: str
    source: str
    filename: str
    status: str
    verdict: Verdict | None
    version: int | None
    reason: str = ""
    kept: int | None = None
    total: int | None = None
    quality_score: float | None = None
    origin: Origin | None = None
    page: str | None = Field(default=None, description="Store digest of its evaluation page")


class Source(Record):
    """A set of items that was looked at: an evaluation set, or what was kept of a batch."""

    name: str
    kind: SetKind | None = Field(description="None for a batch")
    origin: Origin
    items: int
    looked_at: int = Field(description="Of many items some were looked at, spread evenly; counts are of those")


class Balance(Record):
    """How many items of each source have a value of a facet, such as a label or a voice; the most frequent first."""

    facet: str
    counts: dict[str, dict[str, int]] = Field(description="By value, then by source")
    more: int = Field(default=0, description="Values left out")


class Distribution(Record):
    """A quantity of the items (length, seconds, brightness) in bins of equal width, for golden set and batches."""

    quantity: str
    edges: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]
    medians: dict[str, float]


class Reason(Record):
    """One kind of finding: how often, and in how many batches."""

    code: str
    title: str
    severity: Severity
    times: int
    batches: int


class Example(Record):
    """An item as a person would look at it."""

    source: str
    item: str
    target: str
    origin: Origin
    shown: Shown


class Exploration(Record):
    """The data: what came in, what was kept, and how it compares with the golden set."""

    batches: tuple[BatchRow, ...]
    left_out: int = Field(description="Older batches whose items were not looked at")
    sources: tuple[Source, ...]
    balances: tuple[Balance, ...]
    distributions: tuple[Distribution, ...]
    reasons: tuple[Reason, ...]
    examples: tuple[Example, ...]
    min_quality: float


class VersionRow(Record):
    """One version, and the last that was measured of it on the golden set."""

    version: int
    roles: tuple[str, ...]
    batch_id: str | None
    deployed_at: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    origin: Origin | None = None
    cost: SystemReport | None = None


class Measured(Record):
    """One metric of one candidate on the golden set, beside what it was compared with."""

    batch_id: str
    verdict: Verdict | None
    version: int | None = Field(description="What it was released as")
    production_version: int | None
    golden: str = Field(description="Digest of the golden set: figures of different ones do not compare")
    comparison: Comparison


class Curve(Record):
    """The learning curve of one candidate."""

    batch_id: str
    version: int | None
    points: tuple[CurvePoint, ...]


class Contest(Record):
    """The models of the line, side by side."""

    versions: tuple[VersionRow, ...]
    measured: tuple[Measured, ...]
    costs: dict[System, SystemReport] = Field(description="Of the latest evaluation")
    curves: tuple[Curve, ...]
    classical: str | None = Field(description="A sentence, where the classical method scores as well")


class Matrix(Record):
    """A confusion matrix: true labels in rows, predictions in columns, one more column for what is no label."""

    set_name: str
    origin: Origin
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class Mistake(Record):
    """An item that was answered wrong, or wrong by one version and not by another."""

    set_name: str
    item: str
    reference: str
    before: str | None = Field(default=None, description="What the version before answered")
    prediction: str
    score: float | None = Field(description="The item's own value of the metric; None where it has no weight")
    confidence: float | None = None
    origin: Origin
    shown: Shown


class SliceRow(Record):
    """A slice of an evaluation set."""

    set_name: str
    slice: str
    value: float
    n: int
    origin: Origin


class Flips(Record):
    """Items of the golden set that a release changed."""

    earlier: int
    later: int
    worse: int
    better: int
    same: int
    origin: Origin
    examples: tuple[Mistake, ...] = Field(description="Items that became worse")


class Contributor(Record):
    """What one person's batches were like, and what the model that served then made of their held-back items."""

    name: str
    batches: int
    kept: int
    total: int
    quality_score: float
    held_back: int
    value: float | None = Field(description="The item metric of the model that served, on the held-back items")
    origins: tuple[Origin, ...]


class Mistakes(Record):
    """Where a model is wrong, by the evaluation that measured it last."""

    version: int | None = Field(description="None: no version serves, and this is the newest candidate")
    batch_id: str | None = Field(default=None, description="The batch whose evaluation measured it")
    metric: str
    higher_is_better: bool
    labelled: bool = Field(description="Every item has one label; wrong is another one")
    matrices: tuple[Matrix, ...] = ()
    worst: tuple[Mistake, ...] = ()
    wrong: int = 0
    scored: int = 0
    slices: tuple[SliceRow, ...] = ()
    flips: tuple[Flips, ...] = ()
    contributors: tuple[Contributor, ...] = ()


class LineReport(Record):
    """Everything the page of a line shows."""

    line: str
    family: str
    description: str
    primary: str
    production: int | None
    exploration: Exploration
    contest: Contest
    mistakes: Mistakes
