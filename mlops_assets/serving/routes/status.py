"""`GET /pipeline/status` (source 004): lines, versions, rollouts, queues, events and sensors, as they are now."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, JsonValue

from mlops_assets.core.errors import NotFound, Unavailable
from mlops_assets.core.events import Kind
from mlops_assets.core.line import Line
from mlops_assets.core.ports.execution import Sensor
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer
from mlops_assets.core.serving import Beat, ServedVersion
from mlops_assets.serving.asked import line_of, platform_of
from mlops_assets.serving.door.access import Caller, requires

GATEWAY_SECONDS = 10  # since which a gateway must have said something to count as one that runs
SETTINGS = ("config", "policy", "collection", "triggers", "release", "monitoring", "serving")

router = APIRouter(tags=["status"])


class LineStatus(BaseModel):
    """One line, as it is now; `running` is None, and `problem` says why, where Dagster gives no answer."""

    family: str
    description: str
    pointer: Pointer
    loaded: tuple[ServedVersion, ...]
    waiting: int
    events: dict[Kind, int]
    running: bool | None
    sensors: tuple[Sensor, ...]
    problem: str
    settings: dict[str, JsonValue]


class Status(BaseModel):
    """The platform, as it is now; `running`: every sensor of every line looks."""

    at: str
    running: bool | None
    lines: dict[str, LineStatus]
    gateways: list[Beat]


@router.get("/pipeline/status")
def status(request: Request, caller: Annotated[Caller, requires("viewer")], line: str | None = None) -> Status:
    """Return the state of every line, or of one: its versions and rollout, queues, event counts, sensors, settings."""
    platform = platform_of(request)
    lines = platform.lines() if line is None else [line_of(request, line)]
    loaded: Mapping[str, tuple[ServedVersion, ...]] = request.app.state.engine.loaded()
    found = {
        each.line: _line(platform, each, loaded.get(each.line, ()), sensors, problem)
        for each, sensors, problem in _sensors(platform, lines)
    }
    running = [each.running for each in found.values()]
    now = platform.clock()
    return Status(
        at=now.isoformat(timespec="milliseconds"),
        running=None if None in running else all(running),
        lines=found,
        gateways=platform.watch.gateways(now - timedelta(seconds=GATEWAY_SECONDS)),
    )


def _line(
    platform: Platform, line: Line, loaded: tuple[ServedVersion, ...], sensors: tuple[Sensor, ...], problem: str
) -> LineStatus:
    return LineStatus(
        family=line.family,
        description=line.description,
        pointer=platform.versions.pointer(line.line),
        loaded=loaded,
        waiting=sum(each.waiting for each in loaded),
        events=platform.events.count(line.line),
        running=None if problem else bool(sensors) and all(each.running for each in sensors),
        sensors=sensors,
        problem=problem,
        settings=line.model_dump(mode="json", include=set(SETTINGS)),
    )


def _sensors(platform: Platform, lines: Iterable[Line]) -> Iterator[tuple[Line, tuple[Sensor, ...], str]]:
    """Yield each line with its sensors, or with why they are not known; what is away is asked once."""
    away = ""
    for line in lines:
        sensors: tuple[Sensor, ...] = ()
        problem = away
        if not away:
            try:
                sensors = platform.orchestrator.sensors(line.line)
            except Unavailable as error:
                away = problem = str(error)
            except NotFound as error:
                problem = str(error)
        yield line, sensors, problem
