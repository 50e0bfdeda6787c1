"""A trained candidate, and everything that went into it."""

from typing import Literal

from pydantic import Field, JsonValue

from mlops_assets.core.records.base import AssetRecord, Record

Companion = Literal["reference", "classical"]


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
