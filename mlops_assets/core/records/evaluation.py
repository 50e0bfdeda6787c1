"""What was measured of a candidate: scores, intervals, slices, confusions, cost."""

from typing import Literal

from pydantic import Field

from mlops_assets.core.records.base import AssetRecord, Record
from mlops_assets.core.records.data import Origin

System = Literal["candidate", "production", "baseline", "reference", "classical"]
SuiteType = Literal["benchmark", "critical", "edge"]
SetKind = Literal["golden", "sealed", "benchmark", "critical", "edge", "holdout"]


class Comparison(Record):
    """One metric of one set (or one slice of it) for the three systems, and candidate against production.

    `delta`, `lower` and `upper` are oriented so that positive means the candidate is better, in the metric's own
    unit; `lower` and `upper` are one-sided bounds at the policy's alpha. `gain_lower` is the lower bound at the error
    that one look at this set may spend (`SetResult.gain_alpha`): the one an approval needs. `detectable` is the
    smallest true gain that `gain_lower` would have found with 80 % power; `items_needed` how many items would have
    found `margin` so. `harm` is the one-sided p-value against 'not worse than production'.
    """

    metric: str
    set_name: str
    slice: str | None = None
    higher_is_better: bool
    unit: str
    candidate: float
    production: float | None = None
    baseline: float | None = None
    reference: float | None = Field(default=None, description="The candidate before its export compressed it")
    classical: float | None = Field(default=None, description="The field's simple method on the same data")
    candidate_interval: tuple[float, float] | None = None
    production_interval: tuple[float, float] | None = None
    delta: float | None = None
    lower: float | None = None
    upper: float | None = None
    gain_lower: float | None = None
    error: float | None = Field(default=None, description="Standard error of `delta`")
    harm: float | None = None
    n: int
    clusters: int
    detectable: float | None = None
    items_needed: int | None = None
    origin: Origin


class SetResult(Record):
    """One evaluated set: what it is, its bytes, and where the per-item scores are kept."""

    name: str
    kind: SetKind
    dataset: str = Field(description="Store digest of the dataset folder")
    origin: Origin
    n: int
    clusters: int
    scores: str = Field(description="Store digest of scores.jsonl: per item and system numerator, weight, prediction")
    degraded_share: float = Field(default=0.0, ge=0, le=1, description="Items clearly worse than in production")
    failed_share: float = Field(
        default=0.0, ge=0, le=1, description="Items worse than in production by the policy's threshold for one sample"
    )
    gain_alpha: float | None = Field(
        default=None, description="One-sided error that one look at this set may spend on a gain; None: no gain counts"
    )


class ConfusionPair(Record):
    """How often items of one label are taken for another, as shares (0..1) of the label's items.

    `delta` is candidate minus production, so positive means that the candidate confuses them more often; `lower` and
    `upper` are its one-sided bounds at the policy's alpha.
    """

    label: str
    predicted: str
    n: int
    candidate: float
    production: float | None = None
    delta: float | None = None
    lower: float | None = None
    upper: float | None = None


class Confusion(Record):
    """Counts of one set by label (rows) and prediction (columns; one more for what is no label)."""

    set_name: str
    origin: Origin
    labels: tuple[str, ...]
    candidate: tuple[tuple[int, ...], ...]
    production: tuple[tuple[int, ...], ...] | None = None
    pairs: tuple[ConfusionPair, ...] = Field(default=(), description="The pairs that moved most, the worst first")


class Calibration(Record):
    """How far a system's confidence is from its accuracy, in ten bins of equal width (Guo et al. 2017)."""

    set_name: str
    system: System
    error: float = Field(ge=0, le=1, description="Expected calibration error")
    bins: tuple[tuple[float, float, int], ...] = Field(description="Mean confidence, accuracy and items of each bin")


class Compression(Record):
    """The exported candidate against its full-precision twin on one set; positive `delta`: the export is better."""

    set_name: str
    metric: str
    n: int
    agreement: float = Field(ge=0, le=1, description="Share of items on which both give the same answer")
    delta: float
    lower: float | None
    upper: float | None
    size_ratio: float = Field(description="Bytes of the export over those of the twin")
    latency_ratio: float = Field(description="Seconds per unit of the export over those of the twin")


class CrossCheck(Record):
    """Another test of the same question, reported beside the bootstrap and deciding nothing."""

    set_name: str
    metric: str
    test: Literal["mcnemar", "paired_t", "permutation"]
    quantity: str = Field(description="What is tested; a paired t-test is about the mean item, not the corpus")
    n: int = Field(description="Pairs (or clusters) the test is about")
    statistic: float | None
    p: float = Field(ge=0, le=1, description="One-sided: how surprising this gain is if the candidate were no better")


class Scanned(Record):
    """One slice of a scan for harm: its own p-value, and Holm's, which allows for having looked at all of them."""

    set_name: str
    slice: str
    metric: str
    n: int
    clusters: int
    delta: float
    p: float = Field(ge=0, le=1)
    adjusted: float = Field(ge=0, le=1, description="Holm 1979, over the scan")
    harmed: bool = Field(description="`adjusted` is at most the policy's alpha")


class ContributorReport(Record):
    """One contributor (speaker, user, source) of a batch: how much of it, and how often production disagrees."""

    contributor: str
    items: int
    share: float = Field(ge=0, le=1)
    disagreement: float | None = Field(default=None, ge=0, le=1, description="Items that production answers otherwise")
    adjusted: float | None = Field(default=None, ge=0, le=1, description="Holm-adjusted p that it is above the rest's")
    outlier: bool = False


class SystemReport(Record):
    """Cost of one system, measured while it was scored."""

    servable: str
    version: int | None = None
    seconds_per_unit: float = Field(description="Prediction seconds per unit of input, such as a second of audio")
    unit: str
    size_bytes: int
    load_seconds: float


class ItemChange(Record):
    """An item whose score moved, for people to look at."""

    set_name: str
    item: str
    reference: str
    production: str
    candidate: str
    change: float = Field(description="Positive: the candidate is better, in the metric's numerator")


class EvalReport(AssetRecord):
    """Candidate, production and baseline on the same sets, by the exported artifacts."""

    systems: dict[System, SystemReport]
    sets: tuple[SetResult, ...]
    comparisons: tuple[Comparison, ...]
    confusions: tuple[Confusion, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    compression: tuple[Compression, ...] = ()
    cross_checks: tuple[CrossCheck, ...] = ()
    scan: tuple[Scanned, ...] = Field(default=(), description="Every slice of the golden sets, tested for harm")
    contributors: tuple[ContributorReport, ...] = Field(default=(), description="The batch's, the largest first")
    worst: tuple[ItemChange, ...] = ()
    best: tuple[ItemChange, ...] = ()
    scorer: str = Field(description="Name and version of the scorer and its normaliser")
    rules: str = Field(default="", description="Digest of what its numbers were made by, its parents and sets apart")
    infra_ok: bool = Field(
        description="The candidate loaded and answered in fresh processes, and a gateway's model worker as was scored"
    )
    infra_detail: str = ""
    alpha: float
    resamples: int
    seed: int
    page: str | None = Field(default=None, description="Store digest of the HTML report")
    mlflow_run_id: str | None = None
