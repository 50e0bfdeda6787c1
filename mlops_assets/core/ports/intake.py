"""What comes in: uploads in an inbox, and the batches they become."""

from collections.abc import Mapping
from typing import Protocol

from pydantic import JsonValue

from mlops_assets.core.records.base import Record


class Upload(Record):
    """A complete upload in an inbox."""

    name: str
    path: str
    size_bytes: int
    changed_ns: int


class InboxScan(Record):
    """What one look at an inbox found: uploads not offered before, those not complete (and why), and the next state."""

    ready: tuple[Upload, ...]
    waiting: dict[str, str]
    state: dict[str, JsonValue]


class InboxSource(Protocol):
    """Where uploads of a line arrive."""

    def scan(self, previous: Mapping[str, JsonValue]) -> InboxScan:
        """Look once; `previous` is the state of the last look (empty at first). A lost state offers again."""
        ...

    def set_aside(self, upload: Upload, why: str) -> str:
        """Take an upload that cannot become a batch out of sight, with the reason beside it; return where it is."""
        ...


class Batch(Record):
    """A row of the batch table."""

    line: str
    batch_id: str
    sha256: str
    sequence: int
    contributor: str
    source: str
    filename: str
    received_at: str


class Claim(Record):
    """The answer to a claim: the batch, and whether its bytes were already there."""

    batch: Batch
    duplicate: bool


class Batches(Protocol):
    """The batches of every line; content sha256 is unique per line."""

    def claim(self, line: str, sha256: str, *, contributor: str, source: str, filename: str) -> Claim:
        """Register bytes as a batch, or return the one that has them."""
        ...

    def get(self, line: str, batch_id: str) -> Batch:
        """Return one batch; NotFound names the line's latest ones."""
        ...

    def list(self, line: str) -> list[Batch]:
        """Return a line's batches in order of arrival."""
        ...
