"""What a line may say about a preference model: which columns an event has, and every number the family uses.

The defaults are the events of source 004; another product's events need other column names here and nothing else.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME = r"^[a-z][a-z0-9_]{0,40}$"
EvalMetric = Literal["accuracy", "precision", "recall", "f1_score"]
ALWAYS = ("rmse", "mae", "ndcg", "brier", "known_users")
WITH_K = ("hit_rate_at_k", "precision_at_k", "ndcg_at_k")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Columns(_Model):
    """What the columns with a meaning of their own are called in a product's events."""

    rating: str = Field(default="rating", description="The rating; events without one are usage")
    user: str = Field(default="user", description="Who used or rated it; stored as a pseudonym only")
    timestamp: str = Field(default="timestamp", description="When, ISO 8601 or seconds since 1970; optional")
    result: str = Field(default="result", description="Which result was rated; optional. Joins ratings to usage events")
    notes: tuple[str, ...] = Field(default=("notes",), description="Free text, never kept")
    origin: str = Field(default="origin", description="'real' or 'synthetic'; optional")
    cohort: str = Field(
        default="cohort", description="'new' or 'known': users a curator keeps out of training; optional"
    )


class Number(_Model):
    """A numeric feature and the range outside of which a value is taken for a mistake."""

    column: str = Field(description="Column name")
    least: float = Field(description="Smallest plausible value")
    most: float = Field(description="Largest plausible value")
    log: bool = Field(default=False, description="The model sees the logarithm of 1 + value - least")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least >= self.most:
            raise ValueError(f"{self.column}: least ({self.least}) must be below most ({self.most})")
        return self


class CustomMetric(_Model):
    """One more metric of the line's reports; it may be the primary or a business metric of the policy."""

    name: str = Field(pattern=NAME, description="What reports and the policy call it")
    kind: Literal["within", "hit_rate_at_k", "precision_at_k", "ndcg_at_k"] = Field(
        description="'within': share of ratings predicted to within `tolerance`. Of users with more than k events: "
        "'hit_rate_at_k': share with a liked result among the k predicted best; 'precision_at_k': liked ones among "
        "them, over as many as there could be; 'ndcg_at_k': NDCG of the first k"
    )
    k: int | None = Field(default=None, ge=1, le=1000, description="Length of the list, for the kinds '..._at_k'")
    tolerance: float | None = Field(default=None, gt=0, description="Largest error that counts as right, for 'within'")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.k is not None) != (self.kind in WITH_K) or (self.tolerance is not None) != (self.kind == "within"):
            raise ValueError(f"{self.name}: '{self.kind}' takes {'k' if self.kind in WITH_K else 'tolerance'} alone")
        return self


class Config(_Model):
    """Configuration of the preference family, from `config:` in a line's YAML."""

    columns: Columns = Field(default=Columns(), description="Names of the columns with a meaning of their own")
    categorical: tuple[str, ...] = Field(
        default=("type", "command", "key", "success", "agent", "action"),
        description="Columns whose values are names; an event may lack any of them",
    )
    numeric: tuple[Number, ...] = Field(
        default=(Number(column="bars", least=1, most=512, log=True),), description="Columns whose values are numbers"
    )
    vocabulary: dict[str, tuple[str, ...]] = Field(
        default={}, description="All values a categorical column may have; others are flagged. None given: any"
    )
    min_category_events: int = Field(default=2, ge=1, description="Events a value needs before it is told from others")

    lowest_rating: int = Field(default=1, description="Lower end of the scale")
    highest_rating: int = Field(default=5, description="Upper end of the scale")
    like_threshold: int = Field(default=4, description="Least rating that means the user likes it")
    fractional_ratings: Literal["drop", "round"] = Field(
        default="drop", description="What becomes of a rating between two levels"
    )

    eval_metrics: tuple[EvalMetric, ...] = Field(
        default=("accuracy", "precision", "recall", "f1_score"), description="Metrics of 'likes' (004)"
    )
    custom_metrics: tuple[CustomMetric, ...] = Field(default=(), description="Further metrics (004)")

    embedding: int = Field(default=4, ge=1, le=64, description="Numbers that stand for a value of a column")
    user_factors: int = Field(default=8, ge=1, le=128, description="Numbers that stand for a user's taste")
    hidden: int = Field(default=32, ge=1, le=1024, description="Width of the hidden layer")
    user_dropout: float = Field(default=0.2, ge=0, lt=1, description="Share of events trained as of an unknown user")
    learning_rate: float = Field(default=0.01, gt=0, le=1, description="Peak learning rate of Adam; it falls to zero")
    decay: float = Field(default=1e-3, ge=0, description="L2 penalty of the shared weights")
    user_decay: float = Field(default=0.01, ge=0, description="L2 penalty of users' weights: pulls to the average user")
    batch_size: int = Field(default=64, ge=1, description="Events a step")
    epochs: int = Field(default=40, ge=1, description="Passes over the data")
    patience: int = Field(
        default=0,
        ge=0,
        description="Passes without a better held-out loss before training stops; 0: it does not. Held-out ratings are "
        "of users that training does not see, so their loss cannot tell what is learned about a user",
    )
    checkpoint_every: int = Field(default=5, ge=1, description="Passes between checkpoints")
    device: Literal["auto", "cpu"] = Field(default="auto", description="The network is too small to gain from a GPU")

    shrinkage: float = Field(default=5.0, gt=0, description="Events an average is worth, in the bias model")

    max_events: int = Field(default=1_000_000, ge=1, description="More events in one batch are refused")
    max_text: int = Field(default=200, ge=1, description="Longest name or id kept, in characters")
    dominating_share: float = Field(default=0.3, gt=0, le=1, description="One user's share of ratings that is flagged")
    constant_ratings: int = Field(default=20, ge=2, description="Equal ratings that make a user look like a machine")
    few_events: int = Field(default=5, ge=1, description="Fewer events of a user in a set are the slice 'history:few'")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [*self.categorical, *(each.column for each in self.numeric)]
        own = self.columns
        special = [own.rating, own.user, own.timestamp, own.result, *own.notes, own.origin, own.cohort]
        if len({*names, *special}) < len(names) + len(special):
            raise ValueError("a column has two meanings: every name may be used once")
        if not names:
            raise ValueError("an event needs at least one categorical or numeric column")
        if not self.lowest_rating < self.like_threshold <= self.highest_rating:
            raise ValueError("like_threshold must be above lowest_rating and at most highest_rating")
        if self.highest_rating - self.lowest_rating > 100:
            raise ValueError("a scale has at most 101 levels")
        if stray := sorted({*self.vocabulary} - {*self.categorical}):
            raise ValueError(f"vocabulary names no categorical column: {', '.join(stray)}")
        metrics = [*self.eval_metrics, *ALWAYS, *(each.name for each in self.custom_metrics)]
        if len({*metrics}) < len(metrics):
            raise ValueError("two metrics have one name")
        return self

    @property
    def levels(self) -> int:
        """How many ratings the scale has."""
        return self.highest_rating - self.lowest_rating + 1
