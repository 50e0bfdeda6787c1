"""MLflow as people see the platform: runs with inputs and curves, reports, registered versions, aliases.

Every call is first owed to the outbox and then made from there, in order, by whoever holds the tracker's lease: what
fails because MLflow is away stays owed, and `reconcile` makes it later, once. Each call finds what an earlier attempt
left by the tag `mlops.key`, so an attempt that was cut off is completed and not repeated.
"""

import logging
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from mlops_assets.adapters.database.outbox import Outbox, Owed
from mlops_assets.adapters.mlflow_registry import Registry
from mlops_assets.adapters.mlflow_runs import Runs, run_key
from mlops_assets.adapters.mlflow_settings import quiet
from mlops_assets.core.errors import Busy
from mlops_assets.core.line import Line
from mlops_assets.core.ports.execution import Leases
from mlops_assets.core.ports.releases import Pointer, Version
from mlops_assets.core.ports.storage import ArtifactStore
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.core.records.training import CandidateModel

KIND = "tracker"
LEASE = "tracker"
WAIT_SECONDS = 60
DATASETS = "datasets"
log = logging.getLogger(__name__)


class MlflowTracker:
    """Fills `Tracker`.

    `uri` is MLflow's tracking and registry address; of a database address, artifacts go to `<home>/mlflow/<line>`.
    `ui` is the address of MLflow's pages, where they are not the tracking address itself.
    """

    def __init__(
        self, uri: str, home: Path, *, store: ArtifactStore, outbox: Outbox, leases: Leases, ui: str | None = None
    ) -> None:
        self._uri = uri
        self._is_server = uri.startswith(("http://", "https://"))
        self._artifacts = None if self._is_server else home.resolve() / "mlflow"
        self._ui = (uri if self._is_server else ui or "").rstrip("/")
        self._store = store
        self._outbox = outbox
        self._leases = leases
        self._client: Any = None
        self._mirrored: dict[str, Pointer] = {}

    def training(self, line: Line, candidate: CandidateModel, parameters: Mapping[str, Any]) -> str | None:
        """Record a training run with its inputs, parameters and curve; return its id, None while MLflow is away.

        `parameters["datasets"]`, if there, maps dataset names to store digests and is recorded as the run's inputs.
        """
        values = {name: value for name, value in parameters.items() if name != DATASETS}
        payload = {
            "candidate": candidate.model_dump(mode="json"),
            "parameters": {name: str(value) for name, value in values.items()},
            "datasets": dict(parameters.get(DATASETS, {})),
            "description": line.description,
        }
        done = self._call("training", run_key(candidate), payload)
        return self._ask(lambda client: Runs(client, self._artifacts).find(candidate)) if done else None

    def evaluation(self, line: Line, candidate: CandidateModel, report: EvalReport, page: str) -> str | None:
        """Record metrics and the HTML report on the candidate's run; return its id, None while MLflow is away."""
        payload = {
            "candidate": candidate.model_dump(mode="json"),
            "report": report.model_dump(mode="json"),
            "page": self._store.put_bytes(page.encode()),
        }
        done = self._call("evaluation", f"{run_key(candidate)}/{report.digest}", payload)
        return self._ask(lambda client: Runs(client, self._artifacts).find(candidate)) if done else None

    def decision(self, line: Line, decision: Decision, page: str) -> None:
        """Record the verdict and the page of its evidence on the candidate's run; the answered one takes its place."""
        payload = {"decision": decision.model_dump(mode="json"), "page": self._store.put_bytes(page.encode())}
        self._call("decision", f"{line.line}/{decision.decision_id}/{decision.digest}", payload)

    def release(self, version: Version, decision: Decision | None, card: str) -> str | None:
        """Register a version with its lineage tags and card; return MLflow's version, None while MLflow is away."""
        payload = {
            "version": version.model_dump(mode="json"),
            "decision": None if decision is None else _lineage(decision),
            "card": self._store.put_bytes(card.encode()),
        }
        done = self._call("release", f"{version.line}/{version.version}", payload)
        return self._ask(lambda client: Registry(client).find(version.line, version.version)) if done else None

    def roles(self, line: str, pointer: Pointer) -> None:
        """Make the registry's aliases equal to the pointer's roles, registering again what was deleted there.

        The first call of a process looks at the registry even if this was done before: people move aliases by hand.
        """
        again = self._mirrored.get(line) != pointer
        self._call("roles", f"{line}/{pointer.revision}", {"pointer": pointer.model_dump(mode="json")}, again=again)
        self._mirrored[line] = pointer

    def reconcile(self) -> int:
        """Make the calls that are owed, in order, up to the first that fails; return how many still wait."""
        if not self._outbox.waiting(KIND):
            return 0
        try:
            with self._leases.hold(LEASE, holder=f"tracker {uuid.uuid4().hex}", wait_seconds=WAIT_SECONDS), quiet():
                for owed in self._outbox.waiting(KIND):
                    if not self._make(owed):
                        break
        except Busy as busy:
            log.warning("Calls to MLflow wait: %s", busy)
        return len(self._outbox.waiting(KIND))

    def link(self, run_id: str) -> str | None:
        """Return the address of a run's page, None if there is no page or MLflow is away."""
        if not self._ui:
            return None
        experiment = self._ask(lambda client: client.get_run(run_id).info.experiment_id)
        return None if experiment is None else f"{self._ui}/#/experiments/{experiment}/runs/{run_id}"

    def _call(self, name: str, key: str, payload: dict[str, Any], *, again: bool = False) -> bool:
        """Owe a call, or one that was made `again`, and make what is owed; return whether this one was made."""
        key, payload = f"{KIND}/{name}/{key}", {"call": name, **payload}
        if not self._outbox.add(key, KIND, payload) and again:
            self._outbox.again(key, payload)
        self.reconcile()
        return all(owed.key != key for owed in self._outbox.waiting(KIND))

    def _make(self, owed: Owed) -> bool:
        from mlflow.exceptions import MlflowException

        calls: dict[str, Callable[[Any, Any], None]] = {
            "training": self._training,
            "evaluation": self._evaluation,
            "decision": self._decision,
            "release": self._release,
            "roles": self._roles,
        }
        try:
            calls[owed.payload["call"]](self._connect(), owed.payload)  # pyright: ignore[reportArgumentType]
        except (MlflowException, exc.SQLAlchemyError, OSError) as error:
            log.warning("MLflow at %s did not take %s: %s", self._address, owed.key, error)
            self._outbox.failed(owed.key, str(error))
            return False
        self._outbox.done(owed.key)
        return True

    def _training(self, client: Any, payload: Any) -> None:
        candidate = CandidateModel.model_validate(payload["candidate"])
        Runs(client, self._artifacts).training(
            candidate, payload["parameters"], payload["datasets"], payload["description"]
        )

    def _evaluation(self, client: Any, payload: Any) -> None:
        candidate = CandidateModel.model_validate(payload["candidate"])
        page = self._store.read_bytes(payload["page"]).decode()
        Runs(client, self._artifacts).evaluation(candidate, EvalReport.model_validate(payload["report"]), page)

    def _decision(self, client: Any, payload: Any) -> None:
        decision = Decision.model_validate(payload["decision"])
        tags = {
            **_lineage(decision),
            "mlops.decision": decision.decision_id,
            "mlops.pending": "yes" if decision.pending else "no",
        }
        Runs(client, self._artifacts).decision(decision, self._store.read_bytes(payload["page"]).decode(), tags)

    def _release(self, client: Any, payload: Any) -> None:
        version = Version.model_validate(payload["version"])
        run = Runs(client, self._artifacts).released(version)
        Registry(client).register(version, run, payload["decision"], self._store.read_bytes(payload["card"]).decode())

    def _roles(self, client: Any, payload: Any) -> None:
        pointer, registry = Pointer.model_validate(payload["pointer"]), Registry(client)
        for version in sorted(set(pointer.roles.values())):
            if registry.find(pointer.line, version) is None:
                released = self._outbox.payload(f"{KIND}/release/{pointer.line}/{version}")
                if released is not None:
                    self._release(client, released)
        registry.roles(pointer)

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        """Return MLflow's answer, or None while it is away."""
        from mlflow.exceptions import MlflowException

        try:
            with quiet():
                return question(self._connect())
        except (MlflowException, exc.SQLAlchemyError, OSError) as error:
            log.warning("MLflow at %s did not answer: %s", self._address, error)
            return None

    def _connect(self) -> Any:
        """Return the client. MLflow waits for minutes for a database that is away, so this asks first."""
        if self._client is None:
            from mlflow import MlflowClient

            if self._artifacts is not None:
                sa.create_engine(self._uri, poolclass=sa.NullPool).connect().close()
            self._client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._client

    @property
    def _address(self) -> str:
        return self._uri if self._is_server else sa.make_url(self._uri).render_as_string(hide_password=True)


def _lineage(decision: Decision) -> dict[str, str]:
    return {
        "mlops.verdict": decision.verdict,
        "mlops.evidence": decision.evidence_digest,
        "mlops.policy": decision.policy_digest,
        "mlops.contributor": decision.evidence.contributor,
        **{f"mlops.golden.{name}": digest for name, digest in decision.evidence.golden.items()},
    }
