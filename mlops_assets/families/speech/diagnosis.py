"""What this machine has and lacks for speech, for `mlops doctor`; nothing heavy is imported to find out."""

import importlib.util
import sys

from mlops_assets.core.errors import ConfigError
from mlops_assets.core.records.base import Check
from mlops_assets.families.speech.blas import blas
from mlops_assets.families.speech.config import Config
from mlops_assets.families.speech.weights import find_installed

PACKAGES = ("mlx", "mlx_whisper", "rapidfuzz", "soundfile")


def diagnose(config: Config) -> list[Check]:
    """Return one check each for the packages, the BLAS and the base weights."""
    return [_packages(), _blas(), _base(config.base_model)]


def _packages() -> Check:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    todo = f"Missing: {', '.join(missing)}. Install the 'speech' extra." if missing else "Everything is installed."
    return Check(name="speech packages", passed=not missing, explanation=todo)


def _blas() -> Check:
    found = blas()
    if sys.platform != "linux":
        return Check(name="speech BLAS", passed=True, explanation="MLX brings its own on this platform.")
    todo = "MLX's own is some thirty times slower: run `make setup`, or install your system's OpenBLAS."
    return Check(
        name="speech BLAS", passed=found is not None, observed=found, explanation="Fast." if found is not None else todo
    )


def _base(source: str) -> Check:
    try:
        found = find_installed(source)
    except ConfigError as error:
        return Check(name="speech base weights", passed=False, observed=source, explanation=str(error))
    text = "They are on this machine." if found else "They are fetched from the Hugging Face Hub at first use."
    return Check(name="speech base weights", passed=True, observed=source, explanation=text)
