"""What every record is: a frozen JSON document with one text and one digest. A link of the chain names its parents."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from mlops_assets.core.digests import canonical_json, sha256_bytes


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

    @classmethod
    def parse_peer(cls, text: str | bytes) -> Self:
        """Read what another running process wrote, perhaps of a newer release: keys not known here are left out."""
        return cls.model_validate_json(text, extra="ignore")


class AssetRecord(Record):
    """What every record of the chain has: its line, its batch and its parents' record digests."""

    line: str
    batch_id: str
    parents: dict[str, str] = Field(default={}, description="Asset name to the digest of the record it gave")


class Check(Record):
    """One gate or rule as applied: what was asked, what was seen, and whether it holds."""

    name: str
    passed: bool
    observed: float | str | None = None
    limit: float | str | None = None
    explanation: str
