"""Released versions, the roles they hold, and the pointer that serving processes follow."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from pydantic import Field

from mlops_assets.core.records.base import Record
from mlops_assets.core.serving import Live, Rollout, ServedRole

Role = Literal["production", "candidate", "canary", "previous"]


class Version(Record):
    """One released version of a line."""

    line: str
    version: int
    servable: str
    model: str
    batch_id: str | None
    decision_id: str | None
    parent_version: int | None
    deployed_at: str
    retired_at: str | None = Field(default=None, description="When it was retired; it cannot serve again")


class Pointer(Record):
    """Which version has which role now, and what is being rolled out; `revision` grows with every move."""

    line: str
    revision: int
    roles: dict[Role, int]
    rollout: Rollout | None = None


class Versions(Protocol):
    """Versions and the roles they hold; roles move by compare-and-set only."""

    def add(
        self,
        line: str,
        *,
        servable: str,
        model: str,
        batch_id: str | None,
        decision_id: str | None,
        parent_version: int | None,
    ) -> Version:
        """Number and store a version; one per (line, decision_id): the second call returns the first."""
        ...

    def get(self, line: str, version: int) -> Version:
        """Return a version; NotFound lists those there are."""
        ...

    def list(self, line: str) -> list[Version]:
        """Return a line's versions, oldest first."""
        ...

    def pointer(self, line: str) -> Pointer:
        """Return the current roles (revision 0 and no roles for a new line)."""
        ...

    def move(self, line: str, expected: Pointer, roles: Mapping[Role, int], rollout: Rollout | None = None) -> Pointer:
        """Set all roles and the rollout if the pointer is still `expected`, else raise Stale."""
        ...

    def retire(self, line: str, version: int) -> Version:
        """Mark a version as one that cannot serve again; Refused while it has a role."""
        ...


class Serving(Protocol):
    """The pointer a serving process reads: which bytes are live for a line."""

    def publish(
        self, pointer: Pointer, arms: Sequence[tuple[ServedRole, Version, float]], *, over_newer: bool = False
    ) -> Live:
        """Point at servable folders, atomically; a pointer older than the published one is ignored, or goes over it.

        `arms` are role, version and share of users, production among them. Returns what is published then; Unavailable
        if it cannot be written.
        """
        ...

    def live(self, line: str) -> Live | None:
        """Return what is published of a line; Corrupt if it cannot be read."""
        ...
