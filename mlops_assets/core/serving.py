"""What a gateway serves, how far a version has been rolled out, and how well it does: records without behaviour."""

from typing import Literal

from pydantic import Field

from mlops_assets.core.records.base import Record

Strategy = Literal["replace", "blue_green", "canary"]
ServedRole = Literal["production", "canary", "candidate", "previous"]
CanaryVerdict = Literal["PROMOTE", "ROLL_BACK", "INCONCLUSIVE"]
HealthStatus = Literal["HEALTHY", "DEGRADED", "UNHEALTHY", "CRITICAL", "INCONCLUSIVE"]
AccessRole = Literal["viewer", "contributor", "reviewer", "admin"]
ACCESS: tuple[AccessRole, ...] = ("viewer", "contributor", "reviewer", "admin")  # each may do what those before it may


class Rollout(Record):
    """A version on its way to all users; part of a line's pointer, so that it moves by compare-and-set alone.

    `share` is the part of users (0..1, by sticky hash) whom the new version answers; `shadow` the part of requests
    copied to the other arm, whose answer nobody sees.
    """

    strategy: Strategy
    version: int
    against: int = Field(description="The production version when it began; rolling back serves it to all again")
    step: int = Field(ge=0, description="Index into the line's steps")
    share: float = Field(ge=0, le=1)
    shadow: float = Field(default=0, ge=0, le=1)
    began_at: str
    stepped_at: str
    held: str = Field(default="", description="Why it stands still, if it does")


class Arm(Record):
    """One version that a gateway keeps loaded for a line."""

    role: ServedRole
    version: int
    servable: str = Field(description="sha256 of the servable folder's tree")
    path: str = Field(description="Local, verified, read-only copy of it")
    share: float = Field(ge=0, le=1, description="Part of the line's users it answers; 0: loaded and warm, no traffic")


class Live(Record):
    """What a line serves now, as the serving pointer publishes it; the shares of its arms sum to 1."""

    line: str
    revision: int
    arms: tuple[Arm, ...]
    shadow: float = Field(default=0, ge=0, le=1, description="Part of requests copied to the other arm")

    @property
    def production(self) -> Arm:
        """The arm that answers whoever is not on a canary."""
        return next(each for each in self.arms if each.role == "production")


class ServedVersion(Record):
    """One loaded version of a line in one gateway."""

    version: int
    servable: str
    state: Literal["loading", "ready", "failed"]
    waiting: int = Field(default=0, ge=0, description="Requests in its queue")
    shed: int = Field(default=0, ge=0, description="Requests refused for overload since the gateway began")
    problem: str = ""


class Beat(Record):
    """What a gateway last said of itself."""

    gateway: str = Field(description="Host and process, such as 'web1:4711'")
    at: str
    lines: dict[str, tuple[ServedVersion, ...]]
    unrecorded: int = Field(default=0, ge=0, description="Predictions that could not be recorded since it began")
    problems: dict[str, str] = Field(default_factory=dict, description="By line: why it does not follow the database")


class Signal(Record):
    """One gate of a line's health: a measured value against its limit; `passed` is None without enough data."""

    name: str
    value: float | None
    limit: float
    unit: str
    passed: bool | None
    n: int
    explanation: str = ""


class HealthSample(Record):
    """The health of one version of a line over one window, by source 004's score and by a gate per signal.

    `score = 0.4 connection + 0.4 error + 0.2 latency`, each in 0..1; None, and INCONCLUSIVE, where nothing was asked.
    The score cannot see a latency failure (0.4 + 0.4 + 0 = 0.8): `signals` can.
    """

    line: str
    version: int
    at: str
    window_seconds: float
    status: HealthStatus
    score: float | None
    connection_score: float | None
    error_score: float | None
    latency_score: float | None
    requests: int
    failures: int
    latency_avg_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    signals: tuple[Signal, ...] = ()
    issues: tuple[str, ...] = ()
    recommendations: tuple[str, ...] = ()


class ApiKey(Record):
    """A key as it is kept: never itself, only the sha256 of its 256 random bits."""

    name: str = Field(description="Who holds it; the ledger's actor")
    role: AccessRole
    sha256: str
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None
