"""A line's policy: the typed numbers its decisions are made by, written in its YAML before any training.

Margins and limits are in the metric's own unit (a WER of 0.003 is 0.3 percentage points). Thresholds that
came with source system 003 keep its names and defaults.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PositiveInt

from mlops_assets.core.digests import canonical_json, sha256_json
from mlops_assets.core.records.evaluation import SetKind


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Margin(_Model):
    """How much worse than production is still 'not worse', for one metric."""

    metric: str = Field(description="Metric name, such as 'wer'")
    margin: float = Field(ge=0, description="Non-inferiority margin m in the metric's own unit")


class SliceMargin(Margin):
    """A protected slice of the golden set: it must not be harmed beyond its margin."""

    slice: str = Field(description="Slice id, such as 'voice:slt'")


class DataGates(_Model):
    """What a batch must be to be trained on; a failed one quarantines the batch."""

    min_items: PositiveInt = Field(default=4, description="Fewest kept items that can be trained on at all")
    min_per_label: int = Field(default=0, ge=0, description="Fewest kept items of each configured label")
    recommended_items: int = Field(default=0, ge=0, description="Below it, the batch is remarked on and trains")
    recommended_per_label: int = Field(default=0, ge=0, description="The same for each configured label")
    min_quality: float = Field(default=7.0, ge=0, le=10, description="Least quality score out of 10")
    max_dropped_share: float = Field(default=0.2, ge=0, le=1, description="Largest share of items dropped")
    max_contributor_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Largest share of a batch that one contributor (speaker, user, source) may have; more is left out, "
        "and a batch of too few contributors needs a person. 1: no cap",
    )


class Gates(_Model):
    """Hard rules over the evidence: one that fails rejects, and nobody can override it."""

    min_golden_items: PositiveInt = Field(default=20, description="Smallest golden set that can decide; below: review")
    min_wer_improvement: float = Field(default=0.0, ge=0, description="Least gain on the primary metric (003)")
    require_significance: bool = Field(default=True, description="The gain's lower bound must exceed the least gain")
    max_degraded_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Most golden items clearly worse (003 max_wer_degradation_rate)",
    )
    critical_degradation_threshold: float = Field(
        default=0.1, ge=0, description="Largest relative loss of the primary metric on a critical suite (003)"
    )
    fail_on_critical_degradation: bool = Field(
        default=True, description="False: a loss on a critical suite asks a person instead of rejecting (003)"
    )
    suite_degradation_threshold: float = Field(
        default=0.2, ge=0, description="Largest relative loss on a benchmark or edge suite (003)"
    )
    sample_degradation_threshold: float = Field(
        default=0.2, ge=0, description="A sample of a suite failed if it is worse by more than this share (003)"
    )
    max_failed_samples_rate: float = Field(
        default=0.05, ge=0, le=1, description="Most samples of a suite that may fail so (003)"
    )
    max_latency_ratio: float = Field(default=1.5, gt=0, description="Candidate over production, seconds per unit")
    max_size_ratio: float = Field(default=1.5, gt=0, description="Candidate over production, bytes of the servable")
    min_reference_agreement: float = Field(
        default=0.95, ge=0, le=1, description="Golden items on which a compressed export answers as its float twin"
    )
    reference_margin: float = Field(
        default=0.02, ge=0, description="A compressed export must lose less than this of the primary metric"
    )
    max_primary: float | None = Field(default=None, description="Absolute bound on the primary metric, if any")


class Analyst(_Model):
    """A language model that looks at the numbers; it can lower a verdict, and explain it."""

    model: str = Field(
        pattern=r"^[a-z0-9_]+:\S+$", description="Name for LangChain's init_chat_model, such as 'openai:gpt-4o'"
    )
    base_url: str | None = Field(default=None, description="Address of the provider's API, for a server of your own")
    goal: str = Field(default="", max_length=1_000, description="The business goal, in the operator's words (001)")
    timeout_seconds: float = Field(default=20, gt=0, le=30, description="Seconds for an answer, retries included")
    words_alerts: bool = Field(default=False, description="It may reword the alert; a changed number is thrown away")


class TradeOff(_Model):
    """Bounds within which the analyst may approve what costs the primary metric and gains elsewhere (001)."""

    metric: str = Field(description="The business metric that has to gain, such as 'f1_class_maduro'")
    gain: float = Field(ge=0, description="What the lower bound of its gain must exceed, in its own unit")
    loss: float = Field(ge=0, description="Largest loss of the primary metric, by the lower bound of its gain")


class Human(_Model):
    """How long a question waits for its answer."""

    remind_hours: float = Field(default=24, gt=0, description="Hours between reminders of an open question")
    expire_hours: float | None = Field(
        default=None, gt=0, description="Hours after which an unanswered question is a REJECT; none: it waits for ever"
    )


class Inquiry(_Model):
    """What the agent may spend to make an unclear result clear, for one batch; the units are the team's own."""

    budget: float = Field(default=6, ge=0, description="Units it may spend on one batch")
    sealed_set: float = Field(default=1, ge=0, description="Cost of opening the sealed set")
    slice_report: float = Field(default=1, ge=0, description="Cost of a report on slices, two at a time")
    seeds: float = Field(default=2, ge=0, description="Cost of one more training with another seed")
    retrain: float = Field(default=4, ge=0, description="Cost of a training with other settings")


class Policy(_Model):
    """Everything a decision is made by. No policy, no deployment."""

    primary: Margin = Field(description="The metric that decides, and its margin")
    business: tuple[Margin, ...] = Field(default=(), description="Metrics whose gain justifies a non-inferior primary")
    protected: tuple[SliceMargin, ...] = Field(default=(), description="Slices that must not be harmed")
    critical_margin: float = Field(default=0.02, ge=0, description="Margin of the primary metric on critical suites")
    data: DataGates = DataGates()
    gates: Gates = Gates()
    min_items_to_promote: PositiveInt = Field(
        default=20, description="A batch with fewer kept items cannot promote a model without a person"
    )
    auto_deploy: bool = Field(
        default=True, description="False: a person confirms every release, however clear its gain (004)"
    )
    auto_approve_finetuning: bool = Field(
        default=False,
        description="False: a person confirms what was trained on events that users sent, also where auto_deploy is "
        "true; True: auto_deploy alone says (003)",
    )
    alpha: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="One-sided error of each bound, and of all approvals together in the life of a golden version",
    )
    resamples: int = Field(default=10_000, ge=1_000, description="Bootstrap resamples")
    seed: int = Field(default=20_260_101, description="Seed of the resampling")
    looks_budget: PositiveInt = Field(default=20, description="Decisions one golden version may serve before rotation")
    openings_budget: PositiveInt = Field(
        default=5, description="Candidates one sealed version may confirm before rotation"
    )
    min_seeds: PositiveInt = Field(
        default=1, description="Trainings of the recipe, seeds apart, that an approval without a person needs"
    )
    retrain_with: tuple[dict[str, JsonValue], ...] = Field(
        default=(), description="Changes of the line's config to try, in order, when the gain is unclear"
    )
    inquiry: Inquiry = Inquiry()
    analyst: Analyst | None = Field(default=None, description="A language model's second look, if any")
    analyst_may_approve_within: tuple[TradeOff, ...] = Field(
        default=(), description="Trade-offs that the analyst decides; none: it only lowers and explains"
    )
    human: Human = Human()
    bootstrap: Literal["review", "approve"] = Field(
        default="review",
        description="First version of a line: 'approve' releases the base model as version 1, recorded as such; "
        "'review' leaves it to a person",
    )

    def canonical_json(self) -> str:
        """Return the one text that stands for this policy; stored as bytes, its address is `digest`."""
        return canonical_json(self.model_dump(mode="json"))

    def gain_alpha(self, kind: SetKind, *, sealed: bool) -> float | None:
        """Return the one-sided error that one look at a set of this kind may spend on a gain; None: none counts there.

        The errors of all looks at the set that settles approvals (the sealed one, if the line has it, else the golden
        one) sum to alpha (Bonferroni): in the life of that set, at most a share alpha of lines promote anything that is
        no better. A look at it spends as much on each metric whose gain alone could justify an approval.
        """
        traded = [each.metric for each in self.analyst_may_approve_within]
        claims = len({self.primary.metric, *(each.metric for each in self.business), *traded})
        if kind == "sealed":
            return self.alpha / self.openings_budget / claims
        if kind == "golden":
            return self.alpha if sealed else self.alpha / self.looks_budget / claims
        return None

    @property
    def digest(self) -> str:
        """The sha256 of the policy's canonical JSON."""
        return sha256_json(self.model_dump(mode="json"))
