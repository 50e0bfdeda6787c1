"""The platform: every port, filled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.core.clock import Clock
from mlops_assets.core.family import Family
from mlops_assets.core.line import Line
from mlops_assets.core.ports.accountability import Ledger, Reviews
from mlops_assets.core.ports.execution import Compute, Leases, Orchestrator
from mlops_assets.core.ports.intake import Batches
from mlops_assets.core.ports.language_models import Analyst, Challengers, DataJudge
from mlops_assets.core.ports.mirrors import Alerts, Hub, Tracker
from mlops_assets.core.ports.releases import Serving, Versions
from mlops_assets.core.ports.storage import ArtifactStore, Records
from mlops_assets.core.ports.traffic import Events, Keys, Watch


@dataclass(frozen=True)
class Platform:
    """Every port, filled, and the clock that all share; the one argument of every verb."""

    clock: Clock
    home: Path
    root: Path
    store: ArtifactStore
    batches: Batches
    records: Records
    ledger: Ledger
    versions: Versions
    reviews: Reviews
    events: Events
    watch: Watch
    keys: Keys
    leases: Leases
    alerts: Alerts
    tracker: Tracker
    compute: Compute
    serving: Serving
    hub: Hub
    judge: DataJudge
    analyst: Analyst
    challengers: Challengers
    orchestrator: Orchestrator
    family: Callable[[str], Family]
    lines: Callable[[], Sequence[Line]]
    code_version: Callable[[str], str]
    checkpoints_url: str
