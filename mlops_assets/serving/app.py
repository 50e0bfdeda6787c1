"""The gateway as one ASGI app: every route behind the door, and what runs while it serves."""

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from fastapi import FastAPI
from fastapi.params import Form
from fastapi.routing import APIRoute

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.serving import ServedVersion
from mlops_assets.serving import openapi
from mlops_assets.serving.door.access import Keyring
from mlops_assets.serving.door.access_log import AccessLog
from mlops_assets.serving.door.answers import install
from mlops_assets.serving.door.auditing import Auditor
from mlops_assets.serving.door.door import Door
from mlops_assets.serving.door.key_reader import KeyReader
from mlops_assets.serving.door.login import LogIn
from mlops_assets.serving.door.routing import RouteTable, Target
from mlops_assets.serving.door.sessions import Sessions
from mlops_assets.serving.door.strict import StrictRoute
from mlops_assets.serving.door.visit import MEGABYTE, DoorSettings
from mlops_assets.serving.engine.engine import Engine
from mlops_assets.serving.engine.faults import Fault
from mlops_assets.serving.engine.rivals import Rivals
from mlops_assets.serving.metrics import Metrics
from mlops_assets.serving.routes import routers

PREDICT = "/v1/lines/{line}/predict"


class Runs(Protocol):
    """What runs while the app serves: the engine."""

    async def start(self) -> None:
        """Begin; the app takes requests once this returns."""
        ...

    async def stop(self) -> None:
        """End; no request comes any more."""
        ...

    def loaded(self) -> Mapping[str, tuple[ServedVersion, ...]]:
        """Return the versions of each line that it keeps loaded."""
        ...


def build(
    platform: Platform,
    *,
    settings: DoorSettings | None = None,
    engine: Runs | None = None,
    faults: Sequence[Fault] = (),
    access_log: Path | None = None,
) -> Door:
    """Return the gateway of a platform; it serves once its lifespan began.

    `engine` replaces the one that it would make; `faults` are harm done on purpose to versions that are being rolled
    out; `access_log` is a file instead of stderr.
    """
    chosen = settings or DoorSettings()
    running = engine or Engine(platform, ask_challenger=Rivals(platform), faults=faults)
    metrics = Metrics(running, running.recorder if isinstance(running, Engine) else None)
    log = AccessLog(access_log, dropped=metrics.dropped.inc)
    keyring = Keyring()
    reader = KeyReader(keyring, platform.keys.list, metrics, log)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        keyring.replace(await asyncio.to_thread(platform.keys.list))
        following = [asyncio.create_task(reader.follow()), asyncio.create_task(log.follow())]
        try:
            await running.start()
            try:
                yield
            finally:
                await running.stop()
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
            await asyncio.to_thread(log.close)

    app = FastAPI(
        title="mlops_assets gateway",
        version=importlib.metadata.version("mlops_assets"),
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    for router in routers():
        app.router.routes.extend(router.routes)
    install(app)
    app.state.platform = platform
    app.state.engine = running
    app.state.metrics = metrics
    app.state.lines = lines = {line.line: line for line in platform.lines()}
    _check_strict(app)
    table = RouteTable(app.routes)
    openapi.describe(app, table)
    return Door(
        app,
        keyring=keyring,
        reader=reader,
        login=LogIn(keyring, Sessions(platform.home, keyring)),
        routes=table,
        limit=lambda target: _largest_body(target, lines, chosen),
        settings=chosen,
        metrics=metrics,
        log=log,
        auditor=Auditor(platform, log),
    )


def _check_strict(app: FastAPI) -> None:
    for route in app.routes:
        if not isinstance(route, APIRoute) or isinstance(route, StrictRoute) or route.body_field is None:
            continue
        if not isinstance(route.body_field.field_info, Form):
            raise TypeError(f"{route.path} reads lax JSON: make its router `APIRouter(route_class=StrictRoute)`.")


def _largest_body(target: Target | None, lines: Mapping[str, Line], settings: DoorSettings) -> int:
    if target is None or target.app is None:
        return settings.max_form
    line = lines.get(target.parameters.get("line", "")) if target.path == PREDICT else None
    return int(line.serving.max_body_mb * MEGABYTE) if line else settings.max_body
