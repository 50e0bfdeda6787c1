"""What the lifecycle needs of the outside world, as small protocols; `wiring` chooses who fills them.

Every effect here is idempotent under its key: at-least-once is assumed everywhere.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field, JsonValue

from mlops_assets.core import policy
from mlops_assets.core.contrast import Rival
from mlops_assets.core.events import Event, Kind, Receipt, Scanned, StoredEvent
from mlops_assets.core.family import Family
from mlops_assets.core.line import Challenger, Judge, Limits, Line
from mlops_assets.core.line import Hub as HubSettings
from mlops_assets.core.records import AssetRecord, CandidateModel, Decision, EvalReport, Exchange, Record, ReviewAnswer
from mlops_assets.core.serving import ApiKey, Beat, HealthSample, Live, Rollout, ServedRole
from mlops_assets.core.tasks import Task, TaskResult

Role = Literal["production", "candidate", "canary", "previous"]


class ArtifactStore(Protocol):
    """Bytes under their sha256. Pickles are refused by their magic bytes (Refused)."""

    def put_bytes(self, data: bytes) -> str:
        """Store bytes, return their digest."""
        ...

    def put_file(self, path: Path) -> str:
        """Store a file's bytes, return their digest."""
        ...

    def put_folder(self, folder: Path) -> str:
        """Store a folder's files and its tree; return the tree's digest."""
        ...

    def read_bytes(self, digest: str) -> bytes:
        """Return stored bytes; NotFound if absent, Corrupt if they are not what the digest says."""
        ...

    def folder(self, digest: str) -> Path:
        """Return a local, verified, read-only copy of a stored folder."""
        ...

    def file(self, digest: str) -> Path:
        """Return a local, verified path to stored bytes."""
        ...

    def size(self, digest: str) -> int:
        """Return the total bytes of a stored file or folder."""
        ...

    def has(self, digest: str) -> bool:
        """Say whether a digest is stored."""
        ...

    def remove(self, folders: Collection[str], *, keep: Collection[str]) -> int:
        """Delete folders, and those of their files that no other folder holds and `keep` does not name.

        Returns the bytes freed; Corrupt, and nothing is deleted, if it cannot be known what another folder holds.
        """
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


class Records(Protocol):
    """The latest record of each asset of each batch, and all earlier ones."""

    def put(self, asset: str, record: AssetRecord) -> None:
        """Store a record; the same digest twice is one."""
        ...

    def get(self, line: str, batch_id: str, asset: str) -> AssetRecord | None:
        """Return the latest record of an asset, or None."""
        ...

    def history(self, line: str, batch_id: str, asset: str) -> list[AssetRecord]:
        """Return every record of an asset, oldest first."""
        ...

    def forget(self, line: str, batch_id: str, asset: str) -> None:
        """Make an asset count as not made for this batch (its history stays)."""
        ...


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


class Events(Protocol):
    """Usage, feedback, corrections and predictions of every line; an id is one event of its line.

    An event is acknowledged when it would survive a power cut, and never before.
    """

    def append(self, line: str, events: Sequence[Event], *, wait_seconds: float = 30) -> tuple[Receipt, ...]:
        """Store events, all or none of them, and return a receipt for each; one without an id is given one.

        Busy if too much waits to be written for longer than `wait_seconds`; Unavailable if it could not be written.
        """
        ...

    def submit(self, line: str, events: Sequence[Event]) -> "Future[tuple[Receipt, ...]]":
        """Do the same without waiting: Busy at once, all else through the future."""
        ...

    def read(
        self,
        line: str,
        *,
        kind: Kind | None = None,
        after: int = 0,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 1000,
    ) -> list[StoredEvent]:
        """Return the next `limit` events after a sequence, in order, received in [since, until).

        The last one's sequence is the cursor of the next call; no event ever appears before a cursor.
        """
        ...

    def scan(self, line: str, *, after: int = 0, since: datetime | None = None, limit: int = 1000) -> list[Scanned]:
        """Return the same without checking what was checked when it was stored, several times as fast."""
        ...

    def find(self, line: str, event_ids: Collection[str]) -> dict[str, StoredEvent]:
        """Return the events that have these ids, by id."""
        ...

    def count(self, line: str, *, after: int = 0) -> dict[Kind, int]:
        """Return how many events of each kind there are after a sequence."""
        ...

    def last(self, line: str) -> int:
        """Return the highest sequence a line has given, 0 for none."""
        ...

    def forget_before(self, line: str, time: datetime) -> int:
        """Delete the events received before a time; return how many. Their ids may be used again."""
        ...


class Watch(Protocol):
    """What watching a line has come to: state between two looks, samples of health, and the gateways that serve."""

    def state(self, line: str) -> tuple[int, JsonValue]:
        """Return the revision and body of a line's watch; (0, None) at first."""
        ...

    def store(self, line: str, expected: int, body: JsonValue) -> int:
        """Replace the body if its revision is still `expected`, else raise Stale; return the new revision."""
        ...

    def record(self, sample: HealthSample) -> None:
        """Keep a sample; the same line, version and time twice are one."""
        ...

    def history(self, line: str, since: datetime) -> list[HealthSample]:
        """Return the samples of a line since a time, oldest first."""
        ...

    def forget_before(self, line: str, time: datetime) -> int:
        """Delete the samples before a time; return how many."""
        ...

    def beat(self, beat: Beat) -> None:
        """Replace what a gateway says of itself."""
        ...

    def gateways(self, since: datetime) -> list[Beat]:
        """Return what every gateway that has said something since a time said last."""
        ...


class Keys(Protocol):
    """The keys of the gateway's callers."""

    def add(self, key: ApiKey) -> None:
        """Store a key; Refused if the name has one that is not revoked."""
        ...

    def list(self) -> list[ApiKey]:
        """Return every key, oldest first, revoked ones too."""
        ...

    def revoke(self, name: str) -> ApiKey:
        """Make a name's key worthless; NotFound lists the names there are."""
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


class Compute(Protocol):
    """Runs a task in a process of its own, under limits; TaskFailed says how it ended if it gave no result."""

    def run(self, task: Task, limits: Limits, *, env: Mapping[str, str] | None = None) -> TaskResult:
        """Run one task to its result, with `env` added to the process's environment."""
        ...


class Judgement(Record):
    """What a model says of a sample of a batch."""

    model: str
    quality_score: float = Field(ge=0, le=10)
    issues: tuple[str, ...]


class DataJudge(Protocol):
    """A language model that looks at images and texts."""

    def ready(self, settings: Judge) -> None:
        """Set the model up without asking it anything; raises what `judge` would (`mlops doctor`)."""
        ...

    def judge(self, settings: Judge, items: Sequence[Path | str]) -> Judgement:
        """Return its judgement on image files and texts; Unavailable if there is no usable answer in time.

        MissingExtra and ConfigError if it cannot be asked at all.
        """
        ...


class Analyst(Protocol):
    """A language model that is asked about a decision; it never fails a decision, whatever it does."""

    def ask(self, settings: policy.Analyst, purpose: Literal["verdict", "wording"], prompt: str) -> Exchange:
        """Return what was asked and what came back, within `timeout_seconds`.

        Without a key, package, connection, time or usable answer, `reply` is None and `failure` says why. For
        'wording' the answer itself counts, and there is never a reply.
        """
        ...

    def ready(self, settings: policy.Analyst) -> None:
        """Set the model up without asking it anything (`mlops doctor`); Unavailable, MissingExtra, ConfigError."""
        ...


class Challengers(Protocol):
    """Language models that answer beside a line, for comparison; whatever they do, nobody waits for them."""

    def ready(self, settings: Challenger) -> None:
        """Set the model up without asking it anything (`mlops doctor`); Unavailable, MissingExtra, ConfigError."""
        ...

    def answer(self, settings: Challenger, value: JsonValue, labels: Sequence[str]) -> Rival:
        """Return which of `labels` the model gives to an input, within `timeout_seconds`; it never raises."""
        ...


class Serving(Protocol):
    """The pointer a serving process reads: which bytes are live for a line."""

    def publish(self, pointer: Pointer, arms: Sequence[tuple[ServedRole, Version, float]]) -> Live:
        """Point at servable folders, atomically; a pointer older than the published one is ignored.

        `arms` are role, version and share of users, production among them. Returns what is published then.
        """
        ...

    def live(self, line: str) -> Live | None:
        """Return what is published of a line; Corrupt if it cannot be read."""
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

    def point(self, settings: HubSettings, name: str, commit: str) -> None:
        """Make a tag that may move, such as 'production', name a commit."""
        ...

    def ready(self, settings: HubSettings) -> str:
        """Return what is found at the repository without changing anything (`mlops doctor`)."""
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


@dataclass(frozen=True)
class Platform:
    """Every port, filled; the one argument that verbs share."""

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
