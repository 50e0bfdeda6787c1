"""What this machine has and lacks for text, for `mlops doctor`; nothing heavy is imported to find out."""

import importlib.util
import platform
import shutil
from pathlib import Path

from mlops_assets.core.records.base import Check
from mlops_assets.families.text.config import Config

TRAINING = ("torch", "transformers", "accelerate", "onnx", "sklearn")
SERVING = ("onnxruntime", "tokenizers")


def diagnose(config: Config) -> list[Check]:
    """Return one check each for the packages, the base weights, the device, and WordNet where it is needed."""
    checks = [_packages("text serving packages", SERVING), _packages("text training packages", TRAINING)]
    checks += [_base(config.base_model), _device()]
    if config.augmentation.synonyms:
        found = importlib.util.find_spec("nltk") is not None
        todo = (
            "nltk is there; WordNet is read at the first training." if found else "pip install nltk, then its WordNet."
        )
        checks.append(Check(name="text WordNet", passed=found, explanation=todo))
    return checks


def _packages(name: str, packages: tuple[str, ...]) -> Check:
    missing = [each for each in packages if importlib.util.find_spec(each) is None]
    todo = f"Missing: {', '.join(missing)}. Install the 'text' extra." if missing else "Everything is installed."
    return Check(name=name, passed=not missing, explanation=todo)


def _base(source: str) -> Check:
    folder = Path(source)
    if folder.is_dir():
        missing = [
            name for name in ("config.json", "model.safetensors", "tokenizer.json") if not (folder / name).is_file()
        ]
        text = f"{source} lacks {', '.join(missing)}." if missing else "They are on this machine."
        return Check(name="text base weights", passed=not missing, observed=source, explanation=text)
    if source.startswith(("/", ".", "data/")) or source.count("/") > 1:
        text = "There is no such folder: run `make setup`, or name a Hugging Face repo id in config.base_model."
        return Check(name="text base weights", passed=False, observed=source, explanation=text)
    text = "They are fetched from the Hugging Face Hub at first use."
    return Check(name="text base weights", passed=True, observed=source, explanation=text)


def _device() -> Check:
    found = "cuda" if shutil.which("nvidia-smi") else "metal" if platform.system() == "Darwin" else "cpu"
    text = "Training looks for it itself; serving is made for one CPU core."
    return Check(name="text device", passed=True, observed=found, explanation=text)
