"""Where work runs and what keeps it apart: task processes, leases, the orchestrator."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from pydantic import Field

from mlops_assets.core.line import Limits
from mlops_assets.core.records.base import Record
from mlops_assets.core.tasks import Task, TaskResult


class Compute(Protocol):
    """Runs a task in a process of its own, under limits; TaskFailed says how it ended if it gave no result."""

    def run(self, task: Task, limits: Limits, *, env: Mapping[str, str] | None = None) -> TaskResult:
        """Run one task to its result, with `env` added to the process's environment."""
        ...


class Leases(Protocol):
    """Mutual exclusion across processes and hosts that survives a holder's death."""

    def hold(self, name: str, *, holder: str, wait_seconds: float) -> AbstractContextManager[None]:
        """Hold `name` and renew it until the block ends; Busy if another live holder keeps it beyond `wait_seconds`.

        Re-entrant for the same holder in the same process.
        """
        ...

    def holder(self, name: str) -> str | None:
        """Return who holds a name now, if anyone does."""
        ...


class Sensor(Record):
    """One sensor of a line, as the orchestrator has it."""

    name: str
    running: bool
    looked_at: str | None = Field(default=None, description="UTC, ISO 8601; None: it has not looked yet")
    said: str = Field(default="", description="Why its last look launched nothing, or what went wrong in it")
    failed: bool = Field(default=False, description="Its last look ended in an error")


class Orchestrator(Protocol):
    """What runs a line's sensors and its chain; every method raises Unavailable with a sentence where it is away."""

    def sensors(self, line: str) -> tuple[Sensor, ...]:
        """Return a line's sensors by name; NotFound if the orchestrator does not know the line."""
        ...

    def switch(self, line: str, *, on: bool) -> tuple[Sensor, ...]:
        """Start or stop every sensor of a line, and return them as they are then."""
        ...

    def launch(self, line: str, batch_id: str, *, stage: str) -> str:
        """Start a run that takes a batch through its whole chain, marked as that stage; return the run's id."""
        ...

    def asleep(self) -> tuple[str, ...]:
        """Return the names of the daemons that ought to run and do not."""
        ...
