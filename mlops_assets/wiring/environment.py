"""What a server or daemon of the platform finds around it."""

import os
import shutil
from pathlib import Path

from mlops_assets.wiring.settings import PACKAGE, PREFIX, Settings, read_settings


def process_environment(chosen: Settings | None = None) -> dict[str, str]:
    """Return what a server or daemon of this platform needs in its environment; Dagster's home is made."""
    made = chosen or read_settings()
    return {
        "DAGSTER_HOME": str(dagster_home(made.home)),
        f"{PREFIX}HOME": str(made.home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_WAIT_POLICY": "passive",
    }


def dagster_home(home: Path) -> Path:
    """Return <home>/dagster; a missing dagster.yaml is written once, from then on it is the operator's."""
    folder = home / "dagster"
    target = folder / "dagster.yaml"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copyfile(PACKAGE / "dagster.yaml", partial)
        partial.replace(target)
    return folder
