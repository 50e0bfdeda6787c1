"""What this machine has and lacks for vision, for `mlops doctor`; nothing heavy is imported to find out."""

import importlib.util

from mlops_assets.core.errors import ConfigError
from mlops_assets.core.records.base import Check
from mlops_assets.families.vision.config import Config
from mlops_assets.families.vision.weights import find_file

SERVING = ("ai_edge_litert", "PIL")
TRAINING = ("tensorflow", "keras", "h5py", "safetensors")


def diagnose(config: Config) -> list[Check]:
    """Return one check each for the packages of serving, those of training, and the base weights."""
    return [_packages("serving", SERVING), _packages("training", TRAINING), _base(config.base_weights)]


def _packages(what: str, names: tuple[str, ...]) -> Check:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    todo = f"Missing: {', '.join(missing)}. Install the 'vision' extra." if missing else "Everything is installed."
    return Check(name=f"vision {what} packages", passed=not missing, explanation=todo)


def _base(source: str) -> Check:
    try:
        found = find_file(source)
    except ConfigError as error:
        return Check(name="vision base weights", passed=False, observed=source, explanation=str(error))
    elsewhere = "Keras fetches them at first use." if source == "imagenet" else "They are drawn from base_seed."
    text = "They are on this machine." if found else elsewhere
    return Check(name="vision base weights", passed=True, observed=source, explanation=text)
