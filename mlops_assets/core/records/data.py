"""A batch as it came, its items, and what was found wrong with them."""

from typing import Literal

from pydantic import Field, JsonValue

from mlops_assets.core.records.base import AssetRecord, Record

Origin = Literal["real", "synthetic", "mixed"]
Severity = Literal["drop", "flag", "quarantine"]


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
    attributes: dict[str, float | str] = Field(default={})
    fingerprints: dict[str, str] = Field(default={})


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
    senders: tuple[str, ...] = Field(
        default=(), description="Keys under which the events that it was made of were sent"
    )


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
