"""The gateway as one ASGI app: every route behind the door, and what runs while it serves."""

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from mlops_assets.core.ports import Platform
from mlops_assets.serving.access import Keyring
from mlops_assets.serving.answers import ErrorDocument, install
from mlops_assets.serving.door import MEGABYTE, Door, DoorSettings
from mlops_assets.serving.routes import routers
from mlops_assets.serving.routing import RouteTable, Target

REFRESH_SECONDS = 1
PREDICT = "/v1/lines/{line}/predict"


def build(platform: Platform, *, settings: DoorSettings | None = None, engine: Any = None) -> Door:
    """Return the gateway of a platform; it serves once its lifespan began. `engine` replaces the one it would make."""
    chosen = settings or DoorSettings()
    keyring = Keyring()
    running = engine or _engine(platform)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        keyring.replace(await asyncio.to_thread(platform.keys.list))
        following = asyncio.create_task(_follow(platform, keyring))
        await running.start()
        try:
            yield
        finally:
            await running.stop()
            following.cancel()

    app = FastAPI(
        title="mlops_assets gateway",
        version=importlib.metadata.version("mlops_assets"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses={"default": {"model": ErrorDocument, "description": "What went wrong"}},
    )
    for router in routers():
        app.router.routes.extend(router.routes)
    install(app)
    app.state.platform = platform
    app.state.engine = running
    lines = {line.line: line for line in platform.lines()}

    def limit(target: Target | None) -> int:
        line = lines.get(target.parameters.get("line", "")) if target and target.path == PREDICT else None
        return int(line.serving.max_body_mb * MEGABYTE) if line else chosen.max_body

    return Door(app, keyring=keyring, routes=RouteTable(app.routes), limit=limit, settings=chosen)


async def _follow(platform: Platform, keyring: Keyring) -> None:
    """Read the keys again about each second: what was revoked counts for nothing within two."""
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        keyring.replace(await asyncio.to_thread(platform.keys.list))


def _engine(platform: Platform) -> Any:
    from mlops_assets.serving.engine import Engine

    return Engine(platform)
