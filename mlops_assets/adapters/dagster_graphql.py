"""Dagster by the GraphQL API of its webserver: a line's sensors, and the launch of a run.

Definitions are found by their tag, in whatever repository and code location they are. The API is Dagster's own UI's
(1.13): it may change with a version, and a test speaks to the webserver that is installed.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlops_assets.core.errors import NotFound, PlatformError, Unavailable
from mlops_assets.core.orchestration import LINE_TAG, PARTITION_TAG, STAGE_TAG, chain_job
from mlops_assets.core.ports.execution import Sensor

TIMEOUT_SECONDS = 30.0
DEFINITIONS = """
query { repositoriesOrError { __typename
  ... on PythonError { message }
  ... on RepositoryConnection { nodes { name location { name } sensors { id name tags { key value }
    sensorState { status ticks(limit: 1) { status timestamp skipReason error { message } } } } } } } }
"""
DAEMONS = "query { instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
START = """
mutation ($selector: SensorSelector!) { startSensor(sensorSelector: $selector) { __typename
  ... on PythonError { message } ... on UnauthorizedError { message } ... on SensorNotFoundError { message } } }
"""
STOP = """
mutation ($id: String!) { stopSensor(id: $id) { __typename
  ... on PythonError { message } ... on UnauthorizedError { message } } }
"""
PARTITION = """
mutation ($repository: RepositorySelector!, $line: String!, $batch: String!) {
  addDynamicPartition(repositorySelector: $repository, partitionsDefName: $line, partitionKey: $batch) { __typename
    ... on PythonError { message } ... on UnauthorizedError { message } } }
"""
LAUNCH = """
mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message } ... on UnauthorizedError { message } ... on PipelineNotFoundError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }
"""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Named(_Answer):
    name: str


class _Tag(_Answer):
    key: str
    value: str


class _Problem(_Answer):
    message: str


class _Tick(_Answer):
    status: str
    timestamp: float
    skip_reason: str | None = Field(alias="skipReason")
    error: _Problem | None


class _State(_Answer):
    status: str
    ticks: list[_Tick]


class _Sensor(_Answer):
    id: str
    name: str
    tags: list[_Tag]
    state: _State = Field(alias="sensorState")


class _Repository(_Answer):
    name: str
    location: _Named
    sensors: list[_Sensor]

    @property
    def selector(self) -> dict[str, str]:
        return {"repositoryName": self.name, "repositoryLocationName": self.location.name}

    def of(self, line: str) -> list[_Sensor]:
        return [each for each in self.sensors if _Tag(key=LINE_TAG, value=line) in each.tags]


class _Daemon(_Answer):
    kind: str = Field(alias="daemonType")
    required: bool
    healthy: bool | None


class DagsterGraphql:
    """Fills `Orchestrator` at the address of a Dagster webserver."""

    def __init__(self, address: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._address = address.rstrip("/")
        self._timeout = timeout_seconds

    def sensors(self, line: str) -> tuple[Sensor, ...]:
        """Return a line's sensors by name; NotFound if no code location that Dagster loaded has the line."""
        return tuple(sorted((_seen(each) for each in self._repository(line).of(line)), key=lambda each: each.name))

    def switch(self, line: str, *, on: bool) -> tuple[Sensor, ...]:
        """Start or stop every sensor of a line, and return them as they are then."""
        repository = self._repository(line)
        for each in repository.of(line):
            if (each.state.status == "RUNNING") == on:
                continue
            if on:
                self._do("startSensor", START, {"selector": {**repository.selector, "sensorName": each.name}}, "Sensor")
            else:
                self._do("stopSensor", STOP, {"id": each.id}, "StopSensorMutationResult")
        return self.sensors(line)

    def launch(self, line: str, batch_id: str, *, stage: str) -> str:
        """Start a run of a batch's chain; the partition is added if it is not there. Return the run's id."""
        repository = self._repository(line)
        partition = {"repository": repository.selector, "line": line, "batch": batch_id}
        added = ("AddDynamicPartitionSuccess", "DuplicateDynamicPartitionError")
        self._do("addDynamicPartition", PARTITION, partition, *added)
        tags = {PARTITION_TAG: batch_id, STAGE_TAG: stage, LINE_TAG: line}
        params = {
            "selector": {**repository.selector, "jobName": chain_job(line)},
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        return str(self._do("launchRun", LAUNCH, {"params": params}, "LaunchRunSuccess")["run"]["runId"])

    def asleep(self) -> tuple[str, ...]:
        """Return the names of the daemons that ought to run and do not."""
        found = self._ask(DAEMONS, {})["instance"]["daemonHealth"]["allDaemonStatuses"]
        known = [_Daemon.model_validate(each) for each in found]
        return tuple(sorted(each.kind for each in known if each.required and not each.healthy))

    def _repository(self, line: str) -> _Repository:
        """Return the repository in which a line's sensors are."""
        found = self._do("repositoriesOrError", DEFINITIONS, {}, "RepositoryConnection")
        try:
            known = [_Repository.model_validate(each) for each in found["nodes"]]
        except (KeyError, ValidationError) as error:
            raise self._strange(str(error)) from None
        for each in known:
            if each.of(line):
                return each
        raise NotFound(
            f"Dagster at {self._address} has no line '{line}'.",
            "Reload its code location (Deployment in its UI), and see there whether it loads.",
        )

    def _do(self, what: str, text: str, variables: Mapping[str, Any], *wanted: str) -> dict[str, Any]:
        """Ask for one field; Unavailable with Dagster's own message unless its type is among `wanted`."""
        answer = self._ask(text, variables).get(what)
        if not isinstance(answer, dict) or answer.get("__typename") not in wanted:
            said = answer if isinstance(answer, dict) else {}
            problems = [said, *_list(said.get("errors"))]
            raise self._strange(
                "; ".join(str(each["message"]) for each in problems if "message" in each) or str(answer)
            )
        return answer

    def _ask(self, text: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        import httpx

        try:
            answer = httpx.post(
                f"{self._address}/graphql", json={"query": text, "variables": variables}, timeout=self._timeout
            )
            document = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise Unavailable(
                f"Dagster gave no answer at {self._address} ({type(error).__name__}).",
                "Start it with `mlops up`, or set MLOPS_DAGSTER_UI to where its webserver is.",
            ) from None
        data = document.get("data") if isinstance(document, dict) else None
        if not isinstance(data, dict):
            raise self._strange(str(document)[:300])
        return data

    def _strange(self, said: str) -> PlatformError:
        return Unavailable(
            f"Dagster at {self._address} did not do it: {said[:500]}",
            "Look at its UI; this platform is tried with Dagster 1.13.",
        )


def _seen(sensor: _Sensor) -> Sensor:
    tick = next(iter(sensor.state.ticks), None)
    if tick is None:
        return Sensor(name=sensor.name, running=sensor.state.status == "RUNNING")
    return Sensor(
        name=sensor.name,
        running=sensor.state.status == "RUNNING",
        looked_at=datetime.fromtimestamp(tick.timestamp, UTC).isoformat(timespec="milliseconds"),
        said=(tick.error.message if tick.error else tick.skip_reason or "").strip(),
        failed=tick.status == "FAILURE",
    )


def _list(value: Any) -> Sequence[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
