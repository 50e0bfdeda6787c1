"""A platform of its own for every test: a home, and one baseline line declared by a YAML file."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from mlops_assets.adapters.mlflow_settings import quiet
from mlops_assets.components.running import RunOutcome, open_instance, run_batch
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import AssetRecord
from mlops_assets.lifecycle.intake.ingest import ingest
from mlops_assets.wiring.environment import dagster_home
from mlops_assets.wiring.lines import MODEL_LINE
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings
from mlops_assets_tests.lines import BATCHES, baseline_line
from mlops_assets_tests.platform_fixture import copied


@dataclass(frozen=True)
class Site:
    """A platform and its one line."""

    platform: Platform
    line: Line
    folder: Path

    def submit(self, kind: str) -> str:
        path = BATCHES[kind](self.folder / "uploads" / kind)
        return ingest(self.platform, self.line, path, contributor="ada", source="cli")[0].batch_id

    def run(self, batch_id: str) -> RunOutcome:
        return run_batch(self.platform, self.line, batch_id)

    def record(self, batch_id: str, asset: str) -> AssetRecord | None:
        return self.platform.records.get(self.line.line, batch_id, asset)


def declare(folder: Path, line: Line) -> None:
    """Write a line's YAML into a folder of lines."""
    folder.mkdir(exist_ok=True)
    document = {"type": MODEL_LINE, "attributes": line.model_dump(mode="json")}
    (folder / f"{line.line}.yaml").write_text(yaml.safe_dump(document))


@pytest.fixture(scope="session")
def fresh_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose databases (the platform's, Dagster's, MLflow's) have their tables and nothing in them.

    Making them takes most of a first run; every test gets a copy.
    """
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("fresh")
    made = open_platform(Settings(root=folder, home=folder / "home"))
    with quiet():
        MlflowClient(f"sqlite:///{made.home}/mlflow.db").search_experiments()
    open_instance(made).dispose()
    return made.home


def make_site(folder: Path, fresh_home: Path, patch: pytest.MonkeyPatch) -> Site:
    """Make a platform under `folder`, by its settings alone."""
    line = baseline_line(folder)
    declare(folder / "lines", line)
    copied(fresh_home, folder / "home")
    patch.setenv("MLOPS_HOME", str(folder / "home"))
    patch.setenv("MLOPS_LINES", str(folder / "lines"))
    patch.setenv("DAGSTER_HOME", str(dagster_home(folder / "home")))
    platform = open_platform()
    return Site(platform, next(each for each in platform.lines() if each.line == line.line), folder)


@pytest.fixture
def site(tmp_path: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return make_site(tmp_path, fresh_home, monkeypatch)
