"""What a line serves, used elsewhere: the pointer is followed, nothing heavy is imported, LangGraph routes by it."""

import importlib.util
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.adapters.serving_pointer import ServingPointer
from mlops_assets.core.errors import ConfigError, Corrupt, NotFound
from mlops_assets.core.ports.releases import Pointer, Version
from mlops_assets.families.text import FAMILY
from mlops_assets.inference import as_langgraph_node, load
from mlops_assets.wiring.settings import read_settings
from mlops_assets_tests.families.text.models import SETTINGS, needs_torch, tiny

LABELS = ("rag_query", "professional", "chitchat")
ROOT = Path(__file__).parents[1]
BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "dagster", "langgraph", "mlflow", "tensorflow", "mlx"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
from mlops_assets.inference import as_langgraph_node
print(as_langgraph_node("intent")({"message": "hello"})["unified_classification"]["category"])
"""

pytestmark = needs_torch


@pytest.fixture(scope="module")
def servables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two exported classifiers that answer differently sure."""
    made = []
    for seed in (1, 2):
        folder = tmp_path_factory.mktemp(f"classifier{seed}")
        config = FAMILY.Config.model_validate(
            {**SETTINGS, "labels": LABELS, "base_model": str(tiny(folder / "base", seed))}
        )
        FAMILY.base(config, folder / "model")
        FAMILY.export(folder / "model", folder / "servable", config)
        made.append(folder / "servable")
    return made[0], made[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("INTENT_CLASSIFIER_MODEL", raising=False)
    return tmp_path / "home"


def publish(home: Path, servable: Path, number: int) -> None:
    from mlops_assets.adapters.artifact_store import FsspecStore

    store = FsspecStore(read_settings().artifacts_url, home)
    digest = store.put_folder(servable)
    version = Version(
        line="intent",
        version=number,
        servable=digest,
        model=digest,
        batch_id=None,
        decision_id=None,
        parent_version=None,
        deployed_at="2026-01-01T00:00:00+00:00",
    )
    pointer = Pointer(line="intent", revision=number, roles={"production": number})
    ServingPointer(home, store=store).publish(pointer, [("production", version, 1.0)])


def test_follows_the_pointer(home: Path, servables: tuple[Path, Path]) -> None:
    publish(home, servables[0], 1)
    model = load("intent")
    first = model.predict("hello friend")
    assert (model.version, model.predict("hello friend")) == (1, first)
    publish(home, servables[1], 2)
    assert model.predict("hello friend") == FAMILY.load(servables[1]).predict(["hello friend"])[0] != first
    assert model.version == 2


def test_goes_on_with_what_it_has_while_the_pointer_cannot_be_read(home: Path, servables: tuple[Path, Path]) -> None:
    publish(home, servables[0], 1)
    model = load("intent")
    (home / "serving" / "intent.json").write_text("{")
    assert model.predict("hello")["category"] in LABELS
    assert model.version == 1
    with pytest.raises(Corrupt, match="Gateways write it anew"):
        load("intent")
    publish(home, servables[1], 2)
    assert model.version == 2


def test_many_threads_share_one_model(home: Path, servables: tuple[Path, Path]) -> None:
    publish(home, servables[0], 1)
    model = load("intent")
    texts = [f"hello {word}" for word in ("friend", "parcel", "money", "late")]
    alone = model.predict_many(texts)
    seen: list[Any] = []
    threads = [threading.Thread(target=lambda: seen.append(model.predict_many(texts))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [alone] * 8
    assert model.predict_many([]) == []


def test_a_folder_from_the_environment_needs_no_platform(
    home: Path, servables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTENT_CLASSIFIER_MODEL", str(servables[0]))
    model = load("intent")
    assert model.version is None
    assert model.predict("hello")["category"] in LABELS
    monkeypatch.setenv("INTENT_CLASSIFIER_MODEL", str(home / "nowhere"))
    with pytest.raises(ConfigError, match="INTENT_CLASSIFIER_MODEL"):
        load("intent")


def test_says_what_is_missing(home: Path) -> None:
    with pytest.raises(NotFound, match="serves nothing yet"):
        load("intent")
    with pytest.raises(NotFound, match="no line 'intention'"):
        load("intention")


def test_a_node_reads_dicts_objects_and_chat_messages(
    home: Path, servables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    monkeypatch.setenv("INTENT_CLASSIFIER_MODEL", str(servables[0]))
    node = as_langgraph_node("intent", message_key="messages", output_key="found")
    expected = {"found": load("intent").predict("hello friend")}
    said = SimpleNamespace(content="hello friend")
    for state in ({"messages": "hello friend"}, {"messages": [said]}, SimpleNamespace(messages=said)):
        assert node(state) == expected


def test_neither_training_framework_nor_orchestrator_is_needed(
    home: Path, servables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(home, servables[0], 1)
    run = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True)
    assert (run.returncode, run.stdout.strip() in LABELS) == (0, True), run.stderr


def test_the_example_graph_routes_by_category(
    home: Path, servables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real file is run; a head that is sure of one label makes each route certain."""
    replies = {"rag_query": "Looking up: hi", "professional": "Noted under professional.", "chitchat": "Nice to hear"}
    spec = importlib.util.spec_from_file_location("langgraph_node", ROOT / "examples" / "langgraph_node.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    for label, reply in replies.items():
        monkeypatch.setenv("INTENT_CLASSIFIER_MODEL", str(_sure_of(label, servables[0], home / label)))
        state = example.build().invoke({"message": "hi"})
        assert state["unified_classification"]["category"] == label
        assert state["reply"].startswith(reply)


def _sure_of(label: str, servable: Path, out: Path) -> Path:
    """Copy a servable, its labels turned so that the one it answers is `label`."""
    import shutil

    shutil.copytree(servable, out)
    settings = json.loads((out / "text.json").read_text())
    (answer,) = FAMILY.load(servable).predict(["hi"])
    at = LABELS.index(FAMILY.show(answer))
    names = [each for each in LABELS if each != label]
    names.insert(at, label)
    settings |= {"labels": names, "thresholds": dict.fromkeys(names, 0.5)}
    (out / "text.json").write_text(json.dumps(settings))
    return out
