"""An engine with real model workers behind it: a line that serves, those who ask it, and what is remembered of that."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from mlops_assets.core.events import Prediction
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.serving.engine.answering import Answer
from mlops_assets.serving.engine.engine import Engine
from mlops_assets_tests.serving.versions import answering, platform_with, ready, serve

USERS = [f"user{at}" for at in range(200)]


def serving_sport(folder: Path, **changes: object) -> tuple[Platform, Line, Version]:
    """Return a platform whose one line serves version 1, which answers "sport" to everything."""
    platform, line = platform_with(folder, **changes)
    one = answering(platform, line, "sport")
    serve(platform, line, one)
    return platform, line, one


@asynccontextmanager
async def serving(platform: Platform, line: Line | None = None, *versions: Version) -> AsyncIterator[Engine]:
    """Run an engine; wait until these versions of a line, and no others, are ready."""
    engine = Engine(platform)
    await engine.start()
    try:
        if line is not None:
            await ready(engine, line, *versions)
        yield engine
    finally:
        await engine.stop()


@asynccontextmanager
async def load(engine: Engine, line: Line, callers: int = 8) -> AsyncIterator[list[tuple[float, Answer]]]:
    """Ask without a pause, by many callers, and yield when each asked and what it got; no answer may fail."""
    answers: list[tuple[float, Answer]] = []
    going = True

    async def call(at: int) -> None:
        while going:
            asked = time.monotonic()
            (answer,) = await engine.predict(line, ["a text"], user=USERS[(at + len(answers)) % len(USERS)])
            answers.append((asked, answer))

    tasks = [asyncio.create_task(call(at)) for at in range(callers)]
    try:
        yield answers
    finally:
        going = False
        await asyncio.gather(*tasks)
    assert not [answer for _, answer in answers if answer.problem or answer.failure]


def predictions(platform: Platform, line: Line) -> list[Prediction]:
    """Return what is remembered of a line's answers."""
    found = [stored.event for stored in platform.events.read(line.line, kind="prediction", limit=100_000)]
    return [event for event in found if isinstance(event, Prediction)]


def processes() -> set[int]:
    """Return the processes of model workers that this process started."""
    children = psutil.Process().children(recursive=True)
    return {child.pid for child in children if "mlops_assets.serving.engine.model_worker" in " ".join(_command(child))}


def process_of(engine: Engine, line: Line) -> int:
    """Return the process that serves a line's production version."""
    process = engine.process(line.line)
    assert process is not None
    return process


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []
