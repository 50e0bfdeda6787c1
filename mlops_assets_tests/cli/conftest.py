"""A home that has been lived in, and the command in it: made once, for all tests of the command."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.lifecycle.intake.ingest import ingest
from mlops_assets.lifecycle.status import show
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings
from mlops_assets_tests.cli.warm import WarmCommand
from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lifecycle.chain import run
from mlops_assets_tests.lines import BATCHES, baseline_line
from mlops_assets_tests.platform_fixture import InProcess, copied


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Shell:
    """A home with one line, `topics`, and the command."""

    folder: Path

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """Start the command."""
        command, environment = [sys.executable, "-m", "mlops_assets.cli", *arguments], self._environment(settings)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def __call__(self, *arguments: str, **settings: str) -> Done:
        """Run the command to its end."""
        return Done(*_warm()(arguments, self._environment(settings)))

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
        home, lines = self.folder / "home", self.folder / "lines"
        return environment | {"COLUMNS": "140", "MLOPS_HOME": str(home), "MLOPS_LINES": str(lines), **settings}

    def submit(self, kind: str) -> str:
        batch = BATCHES[kind](self.folder / "uploads" / kind)
        done = self("submit", "topics", str(batch), "--contributor", "ada", "--json")
        assert done.code == 0, done.err
        return done.document["batch_id"]


@functools.cache
def _warm() -> WarmCommand:
    return WarmCommand()


@pytest.fixture(scope="session", autouse=True)
def _cooled() -> Iterator[None]:
    yield
    _warm().close()


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a good batch was released and a small one waits for a person."""
    folder = tmp_path_factory.mktemp("site")
    declare(folder / "lines", baseline_line(folder))
    in_process: Any = InProcess()
    platform = open_platform(Settings(home=folder / "home", lines=folder / "lines"), compute=in_process)
    (line,) = (each for each in platform.lines() if each.line == "topics")
    for kind, status in (("good", "DEPLOYED"), ("small", "PENDING_REVIEW")):
        upload = BATCHES[kind](folder / "uploads" / kind)
        batch, _ = ingest(platform, line, upload, contributor="ada", source="cli")
        run(platform, line, batch.batch_id)
        assert show(platform, line, batch.batch_id)["status"] == status
    return folder


@pytest.fixture
def shell(lived_in: Path) -> Shell:
    """The lived-in home, for tests that only look."""
    return Shell(lived_in)


@pytest.fixture
def own_shell(lived_in: Path, tmp_path: Path) -> Shell:
    """A copy of the lived-in home, for tests that change it."""
    return Shell(copied(lived_in, tmp_path / "site"))
