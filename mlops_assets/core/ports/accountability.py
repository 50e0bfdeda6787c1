"""Who did what, when and why, and the questions that only a person may answer."""

from collections.abc import Mapping
from typing import Protocol

from pydantic import JsonValue

from mlops_assets.core.records.base import Record
from mlops_assets.core.records.decision import ReviewAnswer


class LedgerEntry(Record):
    """One link of the hash chain; `hash` is the sha256 of the canonical JSON of all other fields."""

    sequence: int
    kind: str
    line: str
    batch_id: str | None
    actor: str
    body: dict[str, JsonValue]
    at: str
    previous: str
    hash: str


class Ledger(Protocol):
    """Append-only, hash-chained history: who, what, when, why."""

    def append(
        self, kind: str, line: str, *, actor: str, body: Mapping[str, JsonValue], batch_id: str | None = None, key: str
    ) -> LedgerEntry:
        """Append an entry; a second append with the same key returns the first entry unchanged."""
        ...

    def entries(
        self,
        line: str | None = None,
        kind: str | None = None,
        batch_id: str | None = None,
        *,
        newest: int | None = None,
    ) -> list[LedgerEntry]:
        """Return entries in order, those of one line, kind or batch if one is named, only the `newest` if so many."""
        ...

    def verify(self, *, whole: bool = True) -> list[str]:
        """Return a sentence for every broken, changed or missing link; an empty list means the chain holds.

        With `whole` false, only what was appended since this object last found it whole is read.
        """
        ...


class Review(Record):
    """A question to a person."""

    decision_id: str
    line: str
    batch_id: str
    question: str
    asked_at: str
    production_version: int | None
    contributor: str
    answer: ReviewAnswer | None = None


class Reviews(Protocol):
    """Questions and their one answer."""

    def ask(self, review: Review) -> Review:
        """Store a question; the same decision twice is one."""
        ...

    def get(self, decision_id: str) -> Review:
        """Return a review; NotFound lists the open ones."""
        ...

    def answer(self, decision_id: str, answer: ReviewAnswer) -> Review:
        """Store the answer; the first wins: the same answer again changes nothing, another one raises Refused."""
        ...

    def list(self, line: str | None = None, open_only: bool = False) -> list[Review]:
        """Return reviews, oldest first."""
        ...
