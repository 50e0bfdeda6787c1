"""`pip install 'mlops_assets[serve]'` in an environment of its own: it serves, and holds no training framework."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.adapters.process import LocalProcess
from mlops_assets.core.dataset import item_input, read_items
from mlops_assets.core.line import Limits
from mlops_assets.core.tasks import BaseTask
from mlops_assets_tests.families import conformance

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "constraints.txt")
NO_INDEX = ("No matching distribution", "Connection", "Could not fetch", "Temporary failure")

SERVE = """
import asyncio, importlib.util, json, sys
from pathlib import Path
import mlops_assets.serving.app, mlops_assets.serving.engine.engine
from mlops_assets.serving.engine.exchange import Inputs, replies_of
from mlops_assets.serving.engine.frames import Blob, Servable
from mlops_assets.serving.engine.process import WorkerProcess

trainers = ("torch", "tensorflow", "keras", "transformers", "mlx")
assert [name for name in trainers if importlib.util.find_spec(name)] == []

async def answer(family, config, path, value):
    process = WorkerProcess()
    await process.start(Servable(family=family, config=config, path=path, folder=""), root=Path(), seconds=120)
    try:
        asked = Inputs.of([Blob(Path(value).read_bytes()) if family == "vision" else value])
        (reply,) = replies_of(await process.exchange([asked.letters, *asked.parts]), 1)
        return json.loads(reply.body)
    finally:
        await process.close()

print(json.dumps([asyncio.run(answer(*each)) for each in json.loads(sys.argv[1])]))
"""


def servable(name: str, folder: Path) -> tuple[dict, Path, object]:
    """Write the base servable of a family's example; return configuration, servable and one input."""
    example = importlib.import_module(f"mlops_assets_tests.families.examples.{name}").EXAMPLE
    if absent := conformance.missing(example):
        pytest.skip(f"{name} needs {', '.join(absent)}")
    family, values = importlib.import_module(f"mlops_assets.families.{name}").FAMILY, example.config(folder)
    config = family.Config.model_validate(values)
    family.check(example.batch(folder / "batch", 1), folder / "data", config, lambda _: None)
    made = BaseTask(
        family=name,
        config=config.model_dump(mode="json"),
        model=str(folder / "model"),
        servable=str(folder / "servable"),
        progress=str(folder / "progress"),
    )
    LocalProcess(folder).run(made, Limits())
    return made.config, folder / "servable", item_input(folder / "data", read_items(folder / "data")[0])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_serve_extra_serves_without_any_training_framework(tmp_path: Path) -> None:
    asked, expected = [], []
    for name in ("text", "vision", "preference"):
        config, path, one = servable(name, tmp_path / name)
        expected += importlib.import_module(f"mlops_assets.families.{name}").FAMILY.load(path).predict([one])
        asked.append((name, config, str(path), str(one) if isinstance(one, Path) else one))

    source = tmp_path / "source"
    shutil.copytree(ROOT / "mlops_assets", source / "mlops_assets", ignore=shutil.ignore_patterns("__pycache__"))
    for each in SOURCES:
        shutil.copyfile(ROOT / each, source / each)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", "constraints.txt", ".[serve]"]
    done = subprocess.run(install, cwd=source, capture_output=True, text=True)
    if done.returncode and any(each in done.stderr for each in NO_INDEX):
        pytest.skip(f"no package index: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    done = subprocess.run([python, "-I", "-c", SERVE, json.dumps(asked)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected
