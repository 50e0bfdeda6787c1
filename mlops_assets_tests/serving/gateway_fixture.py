"""A gateway that listens on a real port, before a real platform with a released line of the baseline family.

`serving` runs uvicorn in a thread of the test's process, so that a test can look at the platform behind it as well.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets.adapters.dagster_graphql import DagsterGraphql
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.serving import ACCESS, AccessRole, ServedVersion
from mlops_assets.lifecycle import keys
from mlops_assets.lifecycle.deployment.bootstrapping import bootstrap
from mlops_assets.serving.app import build
from mlops_assets.serving.door.door import Door
from mlops_assets.serving.door.listening import BoundedHttp, Server, configure
from mlops_assets.serving.door.visit import DoorSettings
from mlops_assets_tests.lines import baseline_line
from mlops_assets_tests.platform_fixture import InProcess, make_platform

START_SECONDS = 60
NOWHERE = "http://127.0.0.1:9"  # no test speaks to a Dagster that happens to run here


class IdleEngine:
    """An engine with nothing loaded: for tests of all that is not a prediction."""

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def loaded(self) -> dict[str, tuple[ServedVersion, ...]]:
        return {}


@dataclass(frozen=True)
class Gateway:
    """What a test needs to call a gateway, and to look behind it."""

    url: str
    app: Door
    platform: Platform
    line: Line
    keys: dict[AccessRole, str]

    def client(self, role: AccessRole = "admin", **options: Any) -> httpx.Client:
        """Return a client that calls with the key of a role; the names of the keys are those of the roles."""
        headers = {"Authorization": f"Bearer {self.keys[role]}", **options.pop("headers", {})}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose engine serves version 1 of the line `topics`; one for all tests of a module."""
    platform, line = released_platform(tmp_path_factory.mktemp("gateway"))
    with gateway_of(platform, line) as made:
        yield made


@pytest.fixture(scope="module")
def idle_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The same without an engine: it starts at once, and cannot predict."""
    platform, line = released_platform(tmp_path_factory.mktemp("gateway"))
    with gateway_of(platform, line, engine=IdleEngine()) as made:
        yield made


def released_platform(folder: Path, *, lines: Sequence[Line] = (), **changes: Any) -> tuple[Platform, Line]:
    """Make a platform with the line `topics`, changed by `changes`, whose base model is released as version 1."""
    line = baseline_line(folder, **changes)
    known = [line, *lines]
    made = make_platform(folder, compute=InProcess(), lines=lambda: known)
    platform = replace(made, orchestrator=DagsterGraphql(NOWHERE))
    assert bootstrap(platform, line) is not None
    return platform, line


@contextlib.contextmanager
def gateway_of(platform: Platform, line: Line, **options: Any) -> Iterator[Gateway]:
    """Serve a platform with a key for each role, by `build`'s options; without a rate that a quick test could reach."""
    options.setdefault("settings", DoorSettings(requests_per_second=1e6))
    known = {key.name for key in platform.keys.list() if key.revoked_at is None}
    for role in ACCESS:
        if role in known:
            keys.revoke(platform, role, actor="tests")
    secrets = {role: keys.issue(platform, role, role, days=None, actor="tests")[0] for role in ACCESS}
    app = build(platform, **{"access_log": platform.home / "access.log", **options})
    with serving(app) as url:
        yield Gateway(url, app, platform, line, secrets)


@contextlib.contextmanager
def serving(app: Any, *, http: type[BoundedHttp] = BoundedHttp) -> Iterator[str]:
    """Run an ASGI app on a free port of this machine, as `mlops serve` does; yield its address, and end it."""
    ready = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=2_048) as listening:
        server = Server(configure(app, drain_seconds=10, http=http), ready=ready.set)
        thread = threading.Thread(target=server.run, args=([listening],), name="gateway")
        thread.start()
        try:
            if not ready.wait(START_SECONDS):
                raise RuntimeError("the gateway did not start")
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)
