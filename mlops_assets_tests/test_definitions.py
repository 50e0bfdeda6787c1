"""What `dagster dev` loads: everything declared, nothing heavy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lines import baseline_line

ROOT = Path(__file__).parents[1]
HEAVY = (
    "apprise", "fsspec", "huggingface_hub", "jiwer", "langgraph", "matplotlib", "mlflow", "mlx", "mlx_whisper",
    "onnxruntime", "pandas", "soundfile", "sqlalchemy", "tensorflow", "torch", "transformers",
)  # fmt: skip
LOAD = """
import json, sys
from mlops_assets.definitions import defs
made = defs()
repository = made.get_repository_def()
print(json.dumps({
    "modules": sorted(sys.modules),
    "groups": sorted({spec.group_name for spec in made.resolve_all_asset_specs()}),
    "jobs": sorted(repository.job_names),
    "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
}))
"""


def load(**environment: str) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", LOAD], capture_output=True, text=True, env=os.environ | environment, check=True
    )
    return json.loads(done.stdout)


def test_definitions_are_light_and_a_second_line_is_one_more_file(tmp_path: Path) -> None:
    declare(tmp_path / "lines", baseline_line(tmp_path))
    home = tmp_path / "home"
    found = load(MLOPS_HOME=str(home), MLOPS_LINES=str(tmp_path / "lines"))
    assert {"speech", "topics"} <= set(found["groups"])
    assert {"speech_chain", "speech_intake", "topics_chain", "topics_intake"} <= set(found["jobs"])
    assert "upkeep" in found["sensors"]
    loaded = {name.partition(".")[0] for name in found["modules"]}
    assert not loaded & set(HEAVY)
    assert not home.exists()


def test_the_workspace_points_at_the_definitions() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    module = workspace["load_from"][0]["python_module"]
    assert module["module_name"] == "mlops_assets.definitions"
    assert module["working_directory"] == "."
