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
SetKind = Literal["golden", "sealed", "benchmark", "critical", "edge", "holdout"]
Tool = Literal["sealed_set", "slice_report", "seeds", "retrain"]
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
    left_out: int = Field(default=0, ge=0, description="Usable items above the share that one contributor may have")
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
    attempt: int = Field(default=0, ge=0, description="0: the line's configuration; n: the policy's n-th other setting")
    settings: dict[str, JsonValue] = Field(default={}, description="What attempt n changed in the configuration")
    code_version: str
    mlflow_run_id: str | None = None


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


class ClusterEffect(Record):
    """How much one cluster (speaker, user) carries of the difference: the difference without it."""

    set_name: str
    cluster: str
    metric: str
    n: int
    delta: float | None
    without: float | None


class SliceReport(Record):
    """What the agent bought to understand an unclear result: slices two at a time, and single clusters left out."""

    scan: tuple[Scanned, ...]
    clusters: tuple[ClusterEffect, ...]


class SeedGain(Record):
    """The same recipe trained with another seed, judged on the golden set."""

    seed: int
    servable: str
    delta: float


class TrainingNoise(Record):
    """How much of a gain is the luck of a seed; `lower` resamples seeds and clusters together."""

    set_name: str
    metric: str
    seeds: tuple[SeedGain, ...]
    mean: float
    deviation: float = Field(ge=0, description="Standard deviation over seeds")
    lower: float | None = Field(description="One-sided bound of the recipe's gain at the policy's alpha")


class ContributorReport(Record):
    """One contributor (speaker, user, source) of a batch: how much of it, and how often production disagrees."""

    contributor: str
    items: int
    share: float = Field(ge=0, le=1)
    disagreement: float | None = Field(default=None, ge=0, le=1, description="Items that production answers otherwise")
    adjusted: float | None = Field(default=None, ge=0, le=1, description="Holm-adjusted p that it is above the rest's")
    outlier: bool = False


class ItemEffect(Record):
    """An item that moved, by its id alone."""

    set_name: str
    item: str
    change: float = Field(description="Positive: the candidate is better, in the metric's numerator")


class Purchase(Record):
    """Evidence that the agent asked for, and what it cost of the policy's budget."""

    tool: Tool
    cost: float = Field(ge=0)
    why: str
    gave: str = Field(description="Digest of what it gave: a dataset, a servable")
    candidate: str = Field(default="", description="Servable digest of the candidate that it was bought for")


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


class AnalystReply(Record):
    """What a language model says of a decision: a recommendation that can lower a verdict, and words."""

    recommendation: Verdict
    reason: str = Field(max_length=2_000)
    concerns: tuple[str, ...] = Field(default=(), max_length=10)


class Exchange(Record):
    """One question to a language model and its answer, kept with the decision as they went over the wire."""

    purpose: Literal["verdict", "wording"]
    model: str
    prompt: str
    answer: str | None = Field(description="The model's own words, cut to 20,000 characters; None if it gave none")
    reply: AnalystReply | None = Field(default=None, description="The answer, if it has the form it was asked for")
    failure: str = Field(default="", description="Why there is no reply")
    seconds: float = Field(ge=0)
    names: dict[str, str] = Field(default={}, description="What the ids in the prompt stand for")


class Cause(Record):
    """One reason why a candidate did not pass, in numbers and names a person can act on."""

    kind: Literal[
        "gate", "infra", "data", "metric", "class", "slice", "speaker", "item", "confusion", "power", "person"
    ]
    subject: str
    text: str


class FailureAnalysis(Record):
    """Why a candidate was not simply approved, from the evidence alone, and what would help."""

    paragraph: str = Field(description="The alert: one paragraph")
    worded_by: str | None = Field(default=None, description="The language model that reworded it, number for number")
    causes: tuple[Cause, ...]
    would_help: tuple[str, ...] = Field(default=(), description="Data or changes that would help, the best first")
    to_approve: tuple[str, ...] = Field(default=(), description="What would have to be true to approve")


class Evidence(Record):
    """Everything the decision may look at, frozen: numbers and ids."""

    line: str
    batch_id: str
    candidate: str = Field(description="Servable digest")
    production: str | None
    production_version: int | None
    golden: dict[str, str] = Field(description="Set name to digest")
    policy: str = Field(description="Digest of the policy")
    contributor: str
    source: str = Field(default="", description="Where the batch came from; 'events': collected in production")
    kept: int
    dropped_share: float
    quality_score: float
    report: str = Field(description="Digest of the eval_report record")
    infra_ok: bool
    sets: tuple[SetResult, ...]
    comparisons: tuple[Comparison, ...]
    confusions: tuple[Confusion, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    compression: tuple[Compression, ...] = ()
    cross_checks: tuple[CrossCheck, ...] = ()
    scan: tuple[Scanned, ...] = ()
    items: tuple[ItemEffect, ...] = Field(default=(), description="The items that lost and gained most")
    dropped: dict[str, int] = Field(default={}, description="Items of the batch that were dropped, by reason code")
    flagged: dict[str, int] = Field(default={}, description="Items kept with a remark, by reason code")
    labels: dict[str, int] = Field(default={}, description="Kept items of the batch, by label")
    contributors: tuple[ContributorReport, ...] = ()
    systems: dict[System, SystemReport]
    looks: int = Field(description="How often this golden set was looked at, this time included")
    sealed: str | None = Field(default=None, description="Store digest of the line's sealed set, if it has one")
    openings: int = Field(default=0, description="How often the sealed set was opened, this time included")
    attempt: int = Field(default=0, description="Which training of this batch: see CandidateModel.attempt")
    seed: int = 0
    noise: TrainingNoise | None = None
    slices: SliceReport | None = None
    purchases: tuple[Purchase, ...] = Field(default=(), description="What the agent bought for this batch, in order")
    parents: dict[str, str] = Field(default={}, description="Asset name to the digest of the record it gave")
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
    gathered: str = Field(default="", description="Digest of the evidence the agent began with")
    exchanges: tuple[Exchange, ...] = Field(default=(), description="Everything asked of a language model")
    analysis: FailureAnalysis | None = Field(default=None, description="For a REJECT or HUMAN_REVIEW")
    question: str | None = None
    review: ReviewAnswer | None = None
    page: str | None = Field(default=None, description="Store digest of the HTML page of the evidence")
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
