"""What this machine has and lacks for preference, for `mlops doctor`; nothing is imported to find out."""

import importlib.util

from mlops_assets.core.records.base import Check

PACKAGES = ("onnx", "onnxruntime", "safetensors")


def diagnose() -> list[Check]:
    """Return one check for the packages."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    text = f"Missing: {', '.join(missing)}. Install the 'preference' extra." if missing else "Everything is installed."
    return [Check(name="preference packages", passed=not missing, explanation=text)]
