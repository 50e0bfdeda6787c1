"""004's `/pipeline/start`, `/pipeline/stop` and `/pipeline/train`, and why a line trains or does not."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from mlops_assets.core.errors import NotFound, Refused
from mlops_assets.core.line import Line
from mlops_assets.core.ports.execution import Sensor
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle import launching
from mlops_assets.lifecycle.collection import triggering
from mlops_assets.lifecycle.collection.triggering import Why
from mlops_assets.lifecycle.launching import Launched
from mlops_assets.lifecycle.troubleshooting import Trouble, troubleshoot
from mlops_assets.serving.asked import line_of, platform_of
from mlops_assets.serving.door.access import Caller, requires

router = APIRouter(tags=["pipeline"])
Admin = Annotated[Caller, requires("admin")]
OneLine = Annotated[str | None, Query(description="One line alone; without it, all of them")]


class Switched(BaseModel):
    """The sensors of each line, as they are now."""

    lines: dict[str, tuple[Sensor, ...]]


class Training(BaseModel):
    """What was started for a line: a batch of what was collected, and the run that takes it through its chain.

    No `batch_id`: nothing could be started, and `why` says why. No `run_id` beside one: the line's own sensor was
    faster and runs it.
    """

    line: str
    batch_id: str | None
    run_id: str | None
    examples: int
    why: str


class Trainings(BaseModel):
    """What was started, line by line."""

    trainings: tuple[Training, ...]


class Explained(Why):
    """Every condition of a training, and all that has to run for one."""

    running: tuple[Trouble, ...]


@router.post("/pipeline/start")
def start(request: Request, caller: Admin, line: OneLine = None) -> Switched:
    """Switch the sensors of one line or of all on: uploads and reports are taken in, and batches carried on."""
    return _switch(request, line, caller, on=True)


@router.post("/pipeline/stop")
def stop(request: Request, caller: Admin, line: OneLine = None) -> Switched:
    """Switch the sensors of one line or of all off: nothing is taken in, or trained by itself, until they start.

    Runs under way go on, predictions are answered, and `mlops watch` beside each gateway still judges what is served.
    """
    return _switch(request, line, caller, on=False)


@router.post("/pipeline/train")
def train(
    request: Request,
    caller: Admin,
    model_type: Annotated[str, Query(min_length=1, max_length=80, description="A line, or a family: all its lines")],
    force: Annotated[bool, Query(description="Whatever counts, rates and interval say")] = True,
) -> Trainings:
    """Make a batch of what was collected and launch its training; 409 says why nothing could be started."""
    platform = platform_of(request)
    lines = _meant(platform, model_type)
    now = platform.clock()
    done = [(line, launching.launch_training(platform, line, now, actor=caller.name, force=force)) for line in lines]
    if all(each.batch is None for _, each in done):
        raise Refused(
            " ".join(each.why.sentence for _, each in done), f"GET /v1/lines/{lines[0].line}/why says what is missing."
        )
    return Trainings(trainings=tuple(_training(line, each) for line, each in done))


@router.get("/v1/lines/{line}/why")
def why(request: Request, line: str, caller: Annotated[Caller, requires("viewer")]) -> Explained:
    """Return why the line trains on what was collected now, or does not, and what does not run."""
    platform, chosen, now = platform_of(request), line_of(request, line), platform_of(request).clock()
    found = triggering.why(platform, chosen, now)
    return Explained(**found.model_dump(), running=troubleshoot(platform, chosen, now))


def _switch(request: Request, name: str | None, caller: Caller, *, on: bool) -> Switched:
    platform = platform_of(request)
    chosen = platform.lines() if name is None else [line_of(request, name)]
    return Switched(lines={each.line: launching.switch(platform, each, on=on, actor=caller.name) for each in chosen})


def _meant(platform: Platform, model_type: str) -> list[Line]:
    """Return the line of that name, else the lines of that family."""
    lines = platform.lines()
    meant = [each for each in lines if each.line == model_type] or [each for each in lines if each.family == model_type]
    if not meant:
        known = sorted({name for each in lines for name in (each.line, each.family)})
        raise NotFound(f"There is no line and no family '{model_type}'.", f"There are: {', '.join(known)}.")
    return meant


def _training(line: Line, done: Launched) -> Training:
    return Training(
        line=line.line,
        batch_id=None if done.batch is None else done.batch.batch_id,
        run_id=done.run_id,
        examples=done.why.examples,
        why=done.why.sentence,
    )
