"""A model line as its YAML declares it: one deployed model that keeps improving."""

from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from mlops_assets.core.policy import Policy
from mlops_assets.core.records.data import Origin
from mlops_assets.core.records.evaluation import SetKind, SuiteType
from mlops_assets.core.serving import Strategy

NUMBERS = (int, float, int | None, float | None)


class _Declared(BaseModel):
    """A part of a line's YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_yes(cls, value: object, info: ValidationInfo) -> object:
        """Refuse `yes` and `true` where a number belongs: pydantic takes them for 1."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation in NUMBERS:
            raise ValueError("a number is wanted, not yes or no")
        return value


class EvaluationSet(_Declared):
    """A curated set a line is judged on, in the same layout as a batch (manifest and files)."""

    path: str = Field(description="Folder, relative to the project root")
    origin: Origin = Field(description="'synthetic' is said wherever a figure from it is shown")
    optional: bool = Field(default=False, description="Missing is reported and not an error (data that is installed)")


class Suite(EvaluationSet):
    """A regression suite: a named set with a type that chooses its threshold."""

    name: str
    type: SuiteType


class Judge(_Declared):
    """A language model that scores a sample of every batch, 0 to 10, before it may be trained on."""

    model: str = Field(
        pattern=r"^[a-z0-9_]+:\S+$", description="Name for LangChain's init_chat_model, such as 'openai:gpt-4o'"
    )
    base_url: str | None = Field(default=None, description="Address of the provider's API, for a server of your own")
    subject: str = Field(min_length=3, description="What the items should be, such as 'clear photos of mangoes'")
    sample: int = Field(default=8, ge=1, le=32, description="Items it is shown, chosen by hash")
    mode: Literal["beside", "instead"] = Field(
        default="beside",
        description="beside: the lower of its score and that of the checks counts; instead: its score alone counts",
    )
    timeout_seconds: float = Field(default=30, gt=0, le=600, description="Seconds for the answer, retries included")


class Limits(_Declared):
    """What one training or scoring process may use."""

    minutes: float = Field(default=240, gt=0, description="Wall-clock limit")
    memory_gb: float = Field(default=12, gt=0, description="Resident memory limit")


class Hub(_Declared):
    """A repository on the Hugging Face Hub that follows the line's versions; its token comes from HF_TOKEN alone."""

    repo: str = Field(
        pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", description="'owner/name'; it is made if it is not there"
    )
    private: bool = Field(default=True, description="Publishing stops if the repository is public and this is true")
    serve_before_published: bool = Field(
        default=True, description="False: an approved candidate serves only once the Hub has it"
    )


class Collection(_Declared):
    """What a line collects of its use, and for how long (source 004's names and defaults)."""

    collect_controller_data: bool = Field(default=True, description="Keep usage events")
    collect_feedback: bool = Field(default=True, description="Keep ratings and corrections")
    data_retention_days: int = Field(default=90, ge=1, le=36_500, description="Days after which an event is deleted")
    keep_payloads: bool = Field(default=False, description="Keep inputs and outputs with the predictions")


class Release(_Declared):
    """How an approved version reaches users, and when it is taken back (names and defaults of sources 003 and 004)."""

    deployment_strategy: Strategy = Field(
        default="replace",
        description="replace: at once; blue_green: loaded beside, then switched; canary: step by step, judged",
    )
    canary_percentage: float = Field(default=0.1, gt=0, lt=1, description="Share of users of a canary's first step")
    further_steps: tuple[float, ...] = Field(default=(0.25, 0.5), description="Shares of its later steps, rising")
    step_requests: int = Field(default=250, ge=1, description="Canary requests before the next step")
    step_minutes: float = Field(default=5, ge=0, le=525_600, description="Minutes before the next step")
    min_requests: int = Field(default=1_000, ge=1, description="Canary requests in all before it may be promoted")
    min_minutes: float = Field(default=30, ge=0, le=525_600, description="Minutes in all before it may be promoted")
    max_hours: float = Field(
        default=72, gt=0, le=8_760, description="Hours after which an undecided canary is held for a person"
    )
    shadow_percentage: float = Field(
        default=0.1, ge=0, le=1, description="Share of requests copied to the other arm while a canary runs"
    )
    error_margin: float = Field(default=0.01, ge=0, le=1, description="Share of errors that a canary may have more")
    latency_margin: float = Field(
        default=0.02, ge=0, le=1, description="Share of requests over production's p95 or p99 that it may have more"
    )
    disagreement_margin: float = Field(
        default=0.15, ge=0, le=1, description="Share of copies answered otherwise, beyond that on the golden set"
    )
    auto_backup_before_deploy: bool = Field(
        default=True, description="Verify that the version to fall back to is whole before it is replaced (003)"
    )
    keep_previous_versions: int = Field(default=5, ge=1, description="Versions beside those in use whose bytes stay")
    deployment_rollback: bool = Field(default=True, description="A canary that harms is taken back by itself (004)")
    enable_auto_rollback: bool = Field(default=True, description="So is a version that fails after its release (003)")
    auto_rollback_error_rate: float = Field(
        default=0.5, gt=0, le=1, description="Share of errors that is failing (003)"
    )

    @model_validator(mode="after")
    def _rising(self) -> Self:
        shares = (self.canary_percentage, *self.further_steps)
        if any(later <= earlier for earlier, later in pairwise(shares)) or shares[-1] >= 1:
            raise ValueError(f"the steps of a canary must rise and stay below 1, not {shares}")
        return self

    @property
    def steps(self) -> tuple[float, ...]:
        """The shares of users a canary goes through before it is promoted."""
        return (self.canary_percentage, *self.further_steps)


class Monitoring(_Declared):
    """How a line's health is watched (source 004's names and defaults)."""

    health_check_interval_seconds: float = Field(
        default=60, gt=0, le=86_400, description="Seconds between samples of health"
    )
    health_alert_threshold: float = Field(default=0.8, ge=0, le=1, description="A score below it alerts")
    window_minutes: float = Field(default=5, gt=0, le=10_080, description="Minutes of requests that a sample looks at")
    min_window_requests: int = Field(default=20, ge=1, description="Fewer requests in the window are inconclusive")
    track_latency: bool = True
    track_accuracy: bool = True
    track_user_satisfaction: bool = True
    max_error_rate: float = Field(default=0.05, gt=0, le=1, description="Limit of the error signal")
    max_latency_p95_ms: float = Field(default=1_000, gt=0, description="Limit of the p95 signal; scores 0 at twice it")
    max_latency_p99_ms: float = Field(default=2_000, gt=0, description="Limit of the p99 signal")
    min_accuracy: float | None = Field(default=None, ge=0, le=1, description="Limit of the share not corrected")
    min_satisfaction: float | None = Field(default=None, ge=1, le=5, description="Limit of the mean rating")


class Triggers(_Declared):
    """When what was collected becomes a batch and a training by itself (names and defaults of sources 003 and 004).

    A training starts if `auto_retrain` is on, the interval has passed, there is enough for a batch
    (`policy.data.min_items`), and one of three is so: `retrain_threshold` new examples (004); `min_error_cases` error
    cases of which `min_corrected_cases` were corrected (003); an error rate of `error_rate_threshold` (003). What comes
    of it is released as `policy.auto_approve_finetuning` says.
    """

    auto_retrain: bool = Field(default=True, description="False: only a person starts a training on collected data")
    retrain_threshold: int = Field(default=50, ge=1, description="New examples that start a training (004)")
    retrain_interval_hours: float = Field(
        default=24, ge=0, le=87_600, description="Least hours since the last training (004)"
    )
    min_error_cases: int = Field(default=100, ge=1, description="Answers told to be wrong that start a training (003)")
    min_corrected_cases: int = Field(default=50, ge=0, description="How many of these must have been corrected (003)")
    trigger_on_error_rate: bool = Field(default=True, description="A high error rate starts a training, too (003)")
    error_rate_threshold: float = Field(
        default=0.15, gt=0, le=1, description="Share of answers told to be wrong that does; its 95 % lower bound counts"
    )
    check_interval_seconds: int = Field(default=60, ge=1, description="Seconds between looks (003 looks every hour)")


class Serving(_Declared):
    """How a gateway runs the line's models."""

    max_batch: int = Field(default=16, ge=1, le=1_024, description="Most inputs that a model is given at once")
    queue: int = Field(default=256, ge=1, description="Inputs that may wait for a model; more are refused with 503")
    timeout_seconds: float = Field(
        default=30, gt=0, le=3_600, description="Seconds that a prediction may take, waiting included"
    )
    max_body_mb: float = Field(default=10, gt=0, le=1_024, description="Largest body of a request")
    memory_gb: float = Field(default=4, gt=0, description="Resident memory limit of one model worker")
    durable_predictions: bool = Field(
        default=False, description="Answer only once the log of predictions would survive a power cut with it"
    )


class Challenger(_Declared):
    """A language model, or another version, that answers beside a line so that the two can be compared (002)."""

    model: str | None = Field(
        default=None, pattern=r"^[a-z0-9_]+:\S+$", description="Name for LangChain's init_chat_model"
    )
    base_url: str | None = Field(default=None, description="Address of the provider's API, for a server of your own")
    version: int | None = Field(default=None, ge=1, description="Or a version of the line")
    instruction: str = Field(default="", max_length=4_000, description="What the language model is asked to do")
    share: float = Field(default=0.5, gt=0, le=1, description="Share of requests that both answer (002: half)")
    timeout_seconds: float = Field(default=30, gt=0, le=120, description="Seconds for its answer")
    input_price: float = Field(default=0.5, ge=0, description="US dollars per million tokens it reads")
    output_price: float = Field(default=1.5, ge=0, description="US dollars per million tokens it writes")
    own_price: float = Field(default=20, ge=0, description="US dollars a month that serving the line costs")
    development_price: float = Field(default=0, ge=0, description="US dollars that the line cost once")
    daily_requests: int = Field(default=10_000, ge=1, description="Requests a day that break-even is worked out for")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.model is None) == (self.version is None):
            raise ValueError("a challenger is either a language model (`model`) or a version (`version`)")
        return self

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Return what an answer costs, in US dollars, at these prices."""
        return (input_tokens * self.input_price + output_tokens * self.output_price) / 1e6


class Line(_Declared):
    """Name, family, data sources, policy and limits of one model line."""

    line: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$", description="The line's name")
    family: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Module under mlops_assets/families")
    description: str = ""
    owners: tuple[str, ...] = Field(default=(), description="E-mail addresses, or 'team:name'")
    config: dict[str, Any] = Field(default={}, description="The family's own configuration, checked by its Config")
    golden: EvaluationSet = Field(description="The set that decides")
    sealed: EvaluationSet | None = Field(
        default=None, description="A second golden set, opened only to confirm a candidate that would be promoted"
    )
    suites: tuple[Suite, ...] = Field(default=(), description="Regression suites")
    holdout_share: float = Field(default=0.1, ge=0, le=0.5, description="Share of a batch kept from training")
    replay_items: int = Field(default=64, ge=0, description="Items of earlier accepted batches mixed into training")
    inbox: str | None = Field(default=None, description="Folder that is watched; default: <home>/inbox/<line>")
    judge: Judge | None = Field(default=None, description="A model that judges the data, if any")
    limits: Limits = Limits()
    collection: Collection = Collection()
    release: Release = Release()
    monitoring: Monitoring = Monitoring()
    triggers: Triggers = Triggers()
    serving: Serving = Serving()
    challenger: Challenger | None = Field(default=None, description="Who answers beside the line, if anybody")
    hub: Hub | None = Field(default=None, description="Where versions are published, if anywhere")
    policy: Policy

    def gain_alpha(self, kind: SetKind) -> float | None:
        """Return the one-sided error that one look at a set of this kind may spend on a gain; see the policy's."""
        return self.policy.gain_alpha(kind, sealed=self.sealed is not None)
