"""The records that travel down the chain: frozen, canonical, each naming the digests of its parents.

`raw_batch -> validated_data -> candidate_model -> eval_report -> decision -> deployed_version | quarantine`
exchange nothing but these. Bytes (audio, weights, reports) live in the artifact store under their sha256,
and a record refers to them by that digest; so lineage is a chain anyone can check with a text editor.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mlops_assets.core.digests import canonical_json, sha256_bytes

Origin = Literal["real", "synthetic", "mixed"]
Verdict = Literal["APPROVE", "REJECT", "HUMAN_REVIEW"]
DeploymentStatus = Literal[
    "SUCCESS", "CANARY", "PENDING_REVIEW", "PENDING_PUBLISH", "FAILED_EVALUATION", "ROLLED_BACK", "ERROR"
]
System = Literal["candidate", "production", "baseline", "reference", "classical"]
Companion = Literal["reference", "classical"]
SuiteType = Literal["benchmark", "critical", "edge"]
SetKind = Literal["golden", "benchmark", "critical", "edge", "holdout"]
Severity = Literal["drop", "flag", "quarantine"]


class Record(BaseModel):
    """A frozen JSON document; unknown keys, NaN and infinities are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def canonical_json(self) -> str:
        """Return the one text that stands for this record."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """The sha256 of the canonical JSON."""
        return sha256_bytes(self.canonical_json().encode())

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Read a record back from its JSON text."""
        return cls.model_validate_json(text)


class Finding(Record):
    """One numbered observation about one item, or about the batch as a whole (`item` is None)."""

    code: str = Field(description="Number and stable name of the rule, such as 'SPC003'")
    title: str = Field(description="What the rule found, such as 'silent audio'")
    severity: Severity
    item: str | None = None
    detail: str = ""


class Item(Record):
    """One usable example of a dataset.

    `path` is relative to the dataset folder (None where the input is `value`); `target` is the label or transcript.
    `cluster` is the unit that is resampled together (speaker, user); `slices` are ids such as 'voice:kal'.
    """

    id: str
    path: str | None = None
    value: JsonValue = None
    target: JsonValue = None
    cluster: str
    slices: tuple[str, ...] = ()
    origin: Origin = "real"
    attributes: dict[str, float | str] = {}
    fingerprints: dict[str, str] = {}


class AssetRecord(Record):
    """What every record of the chain has: its line, its batch and its parents' record digests."""

    line: str
    batch_id: str
    parents: dict[str, str] = Field(default={}, description="Asset name to the digest of the record it gave")


class RawBatch(AssetRecord):
    """One immutable submission, as it was received."""

    sha256: str = Field(description="Digest of the submitted bytes: of the file, or of the folder as a tree")
    artifact: str = Field(description="Where the store keeps them; the same digest")
    is_folder: bool
    filename: str
    size_bytes: int = Field(ge=0)
    source: str = Field(description="Where it came from: 'inbox', 'cli', 'release:<batch>' ...")
    contributor: str
    received_at: str = Field(description="UTC, ISO 8601")


class ValidatedData(AssetRecord):
    """The items that may be trained on, and why the others may not."""

    dataset: str = Field(description="Store digest of the dataset folder: items.jsonl and the files it names")
    findings: str = Field(description="Store digest of findings.jsonl, every finding of the batch")
    total: int = Field(ge=0, description="Items submitted")
    kept: int = Field(ge=0)
    dropped: dict[str, int] = Field(description="Items dropped, by reason code")
    flagged: dict[str, int] = Field(description="Items kept with a remark, by reason code")
    quality_score: float = Field(ge=0, le=10)
    origin: Origin
    statistics: dict[str, float] = Field(default={}, description="Totals a person wants to see, such as seconds")
    labels: dict[str, int] = Field(default={}, description="Kept items by label, those without items included")
    judgement: str | None = Field(default=None, description="Store digest of a model's judgement on a sample, if asked")
    accepted: bool
    reasons: tuple[Finding, ...] = Field(default=(), description="What stops the batch; empty when accepted")
    rules: str = Field(default="", description="Digest of what it was checked by: family, configuration, gates, sets")


class CurvePoint(Record):
    """One point of a learning curve; losses are means per token or item of the step."""

    step: int
    loss: float | None = None
    held_out_loss: float | None = None
    learning_rate: float | None = None
    seconds: float = 0.0


class CandidateModel(AssetRecord):
    """A fine-tuned model and everything that went into it."""

    parent_version: int | None = Field(description="Production version it was trained from; None: the base model")
    parent_model: str = Field(description="Store digest of the weights it started from")
    model: str = Field(description="Store digest of the trainable weights")
    servable: str = Field(description="Store digest of the exported folder: what is judged and what is served")
    companions: dict[Companion, str] = Field(
        default={}, description="Store digests of servables that are judged beside the candidate and never served"
    )
    recipe: str = Field(description="Digest of family, configuration, seed and inputs: equal recipes are one training")
    seed: int
    replayed: tuple[str, ...] = Field(default=(), description="Earlier batches whose data was replayed")
    items: int
    steps: int
    seconds: float
    device: str
    curve: tuple[CurvePoint, ...] = ()
    stopped: str = Field(default="", description="Why training ended: 'finished', 'early stopping' ...")
    code_version: str
    mlflow_run_id: str | None = None


class Comparison(Record):
    """One metric of one set (or one slice of it) for the three systems, and candidate against production.

    `delta`, `lower` and `upper` are oriented so that positive means the candidate is better, in the metric's own
    unit; `lower` and `upper` are one-sided bounds at the policy's alpha. `detectable` is the smallest true
    difference this set would have found with 80 % power; `items_needed` how many items would have found `margin`.
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
    worst: tuple[ItemChange, ...] = ()
    best: tuple[ItemChange, ...] = ()
    scorer: str = Field(description="Name and version of the scorer and its normaliser")
    infra_ok: bool = Field(description="The candidate loaded and answered in a fresh process")
    infra_detail: str = ""
    alpha: float
    resamples: int
    seed: int
    page: str | None = Field(default=None, description="Store digest of the HTML report")
    mlflow_run_id: str | None = None


class Check(Record):
    """One gate or rule as applied: what was asked, what was seen, and whether it holds."""

    name: str
    passed: bool
    observed: float | str | None = None
    limit: float | str | None = None
    explanation: str


class ReviewAnswer(Record):
    """A person's answer to a HUMAN_REVIEW."""

    approve: bool
    reviewer: str
    reason: str
    answered_at: str


class Evidence(Record):
    """Everything the decision may look at, frozen."""

    line: str
    batch_id: str
    candidate: str = Field(description="Servable digest")
    production: str | None
    production_version: int | None
    golden: dict[str, str] = Field(description="Set name to digest")
    policy: str = Field(description="Digest of the policy")
    contributor: str
    kept: int
    dropped_share: float
    quality_score: float
    report: str = Field(description="Digest of the eval_report record")
    infra_ok: bool
    sets: tuple[SetResult, ...]
    comparisons: tuple[Comparison, ...]
    confusions: tuple[Confusion, ...] = ()
    compression: tuple[Compression, ...] = ()
    systems: dict[System, SystemReport]
    looks: int = Field(description="How often this golden set was looked at, this time included")
    code_version: str


class Decision(AssetRecord):
    """The verdict on one candidate, bound to the exact bytes it judged."""

    decision_id: str
    verdict: Verdict
    pending: bool = Field(description="True while a HUMAN_REVIEW waits for its answer")
    reasons: tuple[str, ...]
    gates: tuple[Check, ...]
    statistics: tuple[Check, ...]
    evidence: Evidence
    evidence_digest: str
    policy_digest: str
    path: tuple[str, ...] = Field(description="Nodes of the agent in the order they ran")
    question: str | None = None
    review: ReviewAnswer | None = None
    decided_at: str


class DeployedVersion(AssetRecord):
    """A released version of a line."""

    version: int
    servable: str
    model: str
    decision_id: str
    previous_version: int | None
    status: DeploymentStatus
    card: str = Field(description="Store digest of the model card")
    mlflow_model_version: str | None = None
    deployed_at: str


class Quarantined(AssetRecord):
    """A batch set aside for a person: where its bundle lies and why."""

    reason_code: str
    reason: str
    status: Literal["held", "released", "discarded"]
    deployment_status: DeploymentStatus
    path: str = Field(description="Folder of the bundle, relative to the home")
    alert: str = Field(description="Incident key of the alert")
    quarantined_at: str


ASSETS: dict[str, type[AssetRecord]] = {
    "raw_batch": RawBatch,
    "validated_data": ValidatedData,
    "candidate_model": CandidateModel,
    "eval_report": EvalReport,
    "decision": Decision,
    "deployed_version": DeployedVersion,
    "quarantine": Quarantined,
}
