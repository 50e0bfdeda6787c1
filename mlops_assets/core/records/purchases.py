"""Evidence that the decision agent asks for where the report is unclear, and what it paid."""

from typing import Literal

from pydantic import Field

from mlops_assets.core.records.base import Record
from mlops_assets.core.records.evaluation import Scanned

Tool = Literal["sealed_set", "slice_report", "seeds", "retrain"]


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


class Purchase(Record):
    """Evidence that the agent asked for, and what it cost of the policy's budget."""

    tool: Tool
    cost: float = Field(ge=0)
    why: str
    gave: str = Field(description="Digest of what it gave: a dataset, a servable")
    candidate: str = Field(default="", description="Servable digest of the candidate that it was bought for")
