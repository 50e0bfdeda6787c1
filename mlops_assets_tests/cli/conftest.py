"""A home that has been lived in, and the command in it: made once, for all tests of the command."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lines import BATCHES, baseline_line


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

    def __call__(self, *arguments: str, **settings: str) -> Done:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
        environment |= {
            "COLUMNS": "140",
            "MLOPS_HOME": str(self.folder / "home"),
            "MLOPS_LINES": str(self.folder / "lines"),
            **settings,
        }
        done = subprocess.run(
            [sys.executable, "-m", "mlops_assets.cli", *arguments], capture_output=True, text=True, env=environment
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def submit(self, kind: str) -> str:
        batch = BATCHES[kind](self.folder / "uploads" / kind)
        done = self("submit", "topics", str(batch), "--contributor", "ada", "--json")
        assert done.code == 0, done.err
        return done.document["batch_id"]


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a good batch was released and a small one waits for a person."""
    folder = tmp_path_factory.mktemp("site")
    declare(folder / "lines", baseline_line(folder))
    shell = Shell(folder)
    good = shell("run", "topics", shell.submit("good"), "--json")
    assert (good.code, good.document["deployment_status"]) == (0, "SUCCESS"), good.err
    small = shell("run", "topics", shell.submit("small"), "--json")
    assert (small.code, small.document["status"]) == (3, "PENDING_REVIEW"), small.err
    return folder


@pytest.fixture
def shell(lived_in: Path) -> Shell:
    """The lived-in home, for tests that only look."""
    return Shell(lived_in)


@pytest.fixture
def own_shell(lived_in: Path, tmp_path: Path) -> Shell:
    """A copy of the lived-in home, for tests that change it."""
    shutil.copytree(lived_in, tmp_path / "site")
    return Shell(tmp_path / "site")
