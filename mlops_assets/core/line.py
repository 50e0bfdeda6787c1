"""A model line as its YAML declares it: one deployed model that keeps improving."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlops_assets.core.policy import Policy
from mlops_assets.core.records import Origin, SetKind, SuiteType


class EvaluationSet(BaseModel):
    """A curated set a line is judged on, in the same layout as a batch (manifest and files)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(description="Folder, relative to the project root")
    origin: Origin = Field(description="'synthetic' is said wherever a figure from it is shown")
    optional: bool = Field(default=False, description="Missing is reported and not an error (data that is installed)")


class Suite(EvaluationSet):
    """A regression suite: a named set with a type that chooses its threshold."""

    name: str
    type: SuiteType


class Judge(BaseModel):
    """A language model that scores a sample of every batch, 0 to 10, before it may be trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class Limits(BaseModel):
    """What one training or scoring process may use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minutes: float = Field(default=240, gt=0, description="Wall-clock limit")
    memory_gb: float = Field(default=12, gt=0, description="Resident memory limit")


class Hub(BaseModel):
    """A repository on the Hugging Face Hub that follows the line's versions; its token comes from HF_TOKEN alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo: str = Field(
        pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", description="'owner/name'; it is made if it is not there"
    )
    private: bool = Field(default=True, description="Publishing stops if the repository is public and this is true")
    serve_before_published: bool = Field(
        default=True, description="False: an approved candidate serves only once the Hub has it"
    )


class Collection(BaseModel):
    """What a line collects of its use, and for how long (source 004's names and defaults)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collect_controller_data: bool = Field(default=True, description="Keep usage events")
    collect_feedback: bool = Field(default=True, description="Keep ratings and corrections")
    data_retention_days: int = Field(default=90, ge=1, le=36_500, description="Days after which an event is deleted")
    keep_payloads: bool = Field(default=False, description="Keep inputs and outputs with the predictions")


class Line(BaseModel):
    """Name, family, data sources, policy and limits of one model line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    hub: Hub | None = Field(default=None, description="Where versions are published, if anywhere")
    policy: Policy

    def gain_alpha(self, kind: SetKind) -> float | None:
        """Return the one-sided error that one look at a set of this kind may spend on a gain; see the policy's."""
        return self.policy.gain_alpha(kind, sealed=self.sealed is not None)
