from pathlib import Path

import pytest

from mlops_assets.adapters.artifact_store import FsspecStore
from mlops_assets.adapters.serving_pointer import ServingPointer
from mlops_assets.core.errors import NotFound
from mlops_assets.core.ports.releases import Pointer, Version
from mlops_assets.core.serving import Live
from mlops_assets_tests.adapters.processes import race

PUBLISH = """
import sys
from pathlib import Path
from mlops_assets.adapters.artifact_store import FsspecStore
from mlops_assets.adapters.serving_pointer import ServingPointer
from mlops_assets.core.ports.releases import Pointer, Version
home = Path(sys.argv[1])
serving = ServingPointer(home, store=FsspecStore(str(home / "store"), home))
version = Version(line="speech", version=1, servable=sys.argv[2], model="m", batch_id=None, decision_id=None,
                  parent_version=None, deployed_at="now")
print("ready", flush=True)
sys.stdin.readline()
for revision in range(int(sys.argv[3]), 60, 2):
    pointer = Pointer(line="speech", revision=revision, roles={"production": 1})
    assert serving.publish(pointer, [("production", version, 1.0)]).revision >= revision
    assert serving.live("speech").revision >= revision
"""


@pytest.fixture
def store(tmp_path: Path) -> FsspecStore:
    return FsspecStore(str(tmp_path / "store"), tmp_path)


def servable(store: FsspecStore, tmp_path: Path, content: str) -> str:
    folder = tmp_path / content
    folder.mkdir()
    (folder / "model.json").write_text(content)
    return store.put_folder(folder)


def version(number: int, digest: str) -> Version:
    return Version(
        line="speech",
        version=number,
        servable=digest,
        model="m",
        batch_id=None,
        decision_id=None,
        parent_version=None,
        deployed_at="2026-03-09T00:00:00.000+00:00",
    )


def pointer(revision: int) -> Pointer:
    return Pointer(line="speech", revision=revision, roles={"production": revision})


def test_what_is_live_follows_the_newest_pointer(store: FsspecStore, tmp_path: Path) -> None:
    serving = ServingPointer(tmp_path, store=store)
    one, two = (version(number, servable(store, tmp_path, f"v{number}")) for number in (1, 2))
    assert serving.live("speech") is None
    serving.publish(pointer(1), [("production", one, 1.0)])
    serving.publish(pointer(3), [("production", one, 0.9), ("canary", two, 0.1)])
    serving.publish(pointer(2), [("production", one, 1.0)])
    live = serving.live("speech")
    assert live is not None
    assert live.revision == 3
    assert [(arm.role, arm.version, arm.servable, arm.share) for arm in live.arms] == [
        ("production", 1, one.servable, 0.9),
        ("canary", 2, two.servable, 0.1),
    ]
    assert (Path(live.arms[1].path) / "model.json").read_text() == "v2"
    assert Live.parse((tmp_path / "serving" / "speech.json").read_text()) == live
    assert serving.live("other") is None


def test_a_version_whose_bytes_are_gone_is_not_published(store: FsspecStore, tmp_path: Path) -> None:
    serving = ServingPointer(tmp_path, store=store)
    serving.publish(pointer(1), [("production", version(1, servable(store, tmp_path, "v1")), 1.0)])
    before = serving.live("speech")
    with pytest.raises(NotFound):
        serving.publish(pointer(2), [("production", version(2, "a" * 64), 1.0)])
    assert serving.live("speech") == before


def test_racing_publishers_never_go_back(store: FsspecStore, tmp_path: Path) -> None:
    digest = servable(store, tmp_path, "v1")
    race(PUBLISH, [[str(tmp_path), digest, "0"], [str(tmp_path), digest, "1"]])
    live = ServingPointer(tmp_path, store=store).live("speech")
    assert live is not None
    assert live.revision == 59
    assert [path.name for path in (tmp_path / "serving").iterdir() if path.suffix == ".tmp"] == []
