"""The verdict, what it was allowed to look at, who was asked, and why."""

from typing import Literal

from pydantic import Field

from mlops_assets.core.records.base import AssetRecord, Check, Record
from mlops_assets.core.records.evaluation import (
    Calibration,
    Comparison,
    Compression,
    Confusion,
    ContributorReport,
    CrossCheck,
    Scanned,
    SetResult,
    System,
    SystemReport,
)
from mlops_assets.core.records.purchases import Purchase, SliceReport, TrainingNoise

Verdict = Literal["APPROVE", "REJECT", "HUMAN_REVIEW"]


class ReviewAnswer(Record):
    """A person's answer to a HUMAN_REVIEW."""

    approve: bool
    reviewer: str
    reason: str
    answered_at: str


class ItemEffect(Record):
    """An item that moved, by its id alone."""

    set_name: str
    item: str
    change: float = Field(description="Positive: the candidate is better, in the metric's numerator")


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
