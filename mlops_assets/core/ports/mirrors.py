"""Where people elsewhere see what happens: a tracker, the Hub, alerts. None of them is an authority."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlops_assets.core.line import Hub as HubSettings
from mlops_assets.core.line import Line
from mlops_assets.core.ports.releases import Pointer, Version
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.core.records.training import CandidateModel


class Tracker(Protocol):
    """Runs, lineage and the model registry as people see them; a mirror, never an authority.

    When the tracker is away, calls are queued and replayed once by `reconcile`.
    """

    def training(self, line: Line, candidate: CandidateModel, parameters: Mapping[str, Any]) -> str | None:
        """Record a training run with its inputs, parameters and curve; return its id."""
        ...

    def evaluation(self, line: Line, candidate: CandidateModel, report: EvalReport, page: str) -> str | None:
        """Record metrics and the HTML report on the candidate's run."""
        ...

    def release(self, version: Version, decision: Decision | None, card: str) -> str | None:
        """Register a version with its lineage tags and card; return the registry's version id."""
        ...

    def decision(self, line: Line, decision: Decision, page: str) -> None:
        """Record the verdict and the page of its evidence on the candidate's run."""
        ...

    def roles(self, line: str, pointer: Pointer) -> None:
        """Make the registry's aliases equal to the pointer's roles."""
        ...

    def reconcile(self) -> int:
        """Replay what is queued; return how many calls still wait."""
        ...

    def link(self, run_id: str) -> str | None:
        """Return an address where a person can look at a run, if there is one."""
        ...


@dataclass(frozen=True)
class Publication:
    """One version as the Hub is to hold it: the files of its servable, and the model card as README.md."""

    line: str
    version: int
    servable: str
    folder: Path
    card: str

    @property
    def tag(self) -> str:
        """The name of the version on the Hub."""
        return f"v{self.version}"


class Hub(Protocol):
    """A repository that follows a line's versions; a mirror, never an authority.

    Every method raises Unavailable where a later attempt may succeed, Refused where a person has to act first (token,
    rights, somebody else's commit) and Corrupt where the Hub holds other bytes than it was given.
    """

    def publish(self, settings: HubSettings, publication: Publication, *, attempts: int) -> str:
        """Commit, read back and tag a version, once however often it is called; return the commit's id."""
        ...

    def tag(self, settings: HubSettings, tags: Mapping[str, str], *, moving: str) -> None:
        """Make tags name their commits, as they are by name; only the tag `moving`, such as 'production', is moved."""
        ...

    def ready(self, settings: HubSettings) -> str:
        """Return what is found at the repository without changing anything (`mlops doctor`)."""
        ...


class Alert(Record):
    """A message to the team about one incident; one alert per `key` is delivered."""

    key: str
    title: str
    text: str
    line: str


class Alerts(Protocol):
    """Messages to people; delivery never blocks or breaks the chain."""

    def send(self, alert: Alert) -> None:
        """Queue an alert once per key and try to deliver what is queued."""
        ...

    def deliver(self) -> int:
        """Try to deliver everything queued; return how many are still waiting."""
        ...
