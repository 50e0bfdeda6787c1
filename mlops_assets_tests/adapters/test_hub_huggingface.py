"""Publishing through the real client of huggingface_hub, to a server that answers and fails as the Hub does."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from mlops_assets.adapters.hub_huggingface import HuggingFaceHub
from mlops_assets.core.errors import Corrupt, PlatformError, Refused, Unavailable
from mlops_assets.core.line import Hub
from mlops_assets.core.ports.mirrors import Publication
from mlops_assets_tests.hub_server import TOKEN, HubServer, Repository, hub

__all__ = ["hub"]
REPO = "team/topics"
SETTINGS = Hub(repo=REPO)


def publication(folder: Path, version: int = 2, *, small: str = "{}", more: bool = True) -> Publication:
    """Two files, one of them large, and perhaps a third."""
    servable = folder / f"v{version}"
    (servable / "deep").mkdir(parents=True, exist_ok=True)
    (servable / "config.json").write_text(small)
    (servable / "deep" / "model.onnx").write_bytes(bytes([version]) * 5000)
    if more:
        (servable / "labels.json").write_text("[]")
    card = f"---\nlicense: apache-2.0\n---\n# topics version {version}\n"
    return Publication("topics", version, f"{version:064x}", servable, card)


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(slept: list[float]) -> HuggingFaceHub:
    return HuggingFaceHub(rest_seconds=0, sleep=slept.append)


def commits(server: HubServer) -> list[str]:
    """Titles of all commits but the one every repository begins with."""
    return [each["title"] for each in server.repositories[REPO].commits[1:]]


def test_a_version_is_one_commit_with_a_tag(hub: HubServer, client: HuggingFaceHub, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    commit = client.publish(SETTINGS, publication(tmp_path), attempts=6)
    repository = hub.repositories[REPO]
    assert repository.private
    assert (commits(hub), repository.tags) == (["topics v2"], {"v2": commit})
    tree = repository.head["tree"]
    assert set(tree) == {".gitattributes", "README.md", "config.json", "deep/model.onnx", "labels.json"}
    assert tree["deep/model.onnx"] == bytes([2]) * 5000
    assert ModelCard(tree["README.md"].decode()).data.to_dict() == {"license": "apache-2.0"}
    assert client.publish(SETTINGS, publication(tmp_path), attempts=6) == commit
    assert HuggingFaceHub().publish(SETTINGS, publication(tmp_path), attempts=6) == commit
    assert commits(hub) == ["topics v2"]


def test_the_next_version_replaces_its_files_and_no_others(
    hub: HubServer, client: HuggingFaceHub, tmp_path: Path
) -> None:
    first = client.publish(SETTINGS, publication(tmp_path), attempts=6)
    hub.repositories[REPO].commit("by hand", "", {"NOTES.md": b"mine"})
    second = client.publish(SETTINGS, publication(tmp_path, 3, more=False), attempts=6)
    repository = hub.repositories[REPO]
    assert repository.tags == {"v2": first, "v3": second}
    assert set(repository.head["tree"]) == {".gitattributes", "NOTES.md", "README.md", "config.json", "deep/model.onnx"}
    tags = {"v2": first, "v3": second}
    client.tag(SETTINGS, {**tags, "production": second}, moving="production")
    client.tag(SETTINGS, {**tags, "production": first}, moving="production")
    assert repository.tags == {**tags, "production": first}


def test_a_process_that_starts_sets_the_tags_again_that_somebody_removed(hub: HubServer, tmp_path: Path) -> None:
    client = HuggingFaceHub()
    commit = client.publish(SETTINGS, publication(tmp_path), attempts=6)
    wanted, repository = {"v2": commit, "production": commit}, hub.repositories[REPO]
    client.tag(SETTINGS, wanted, moving="production")
    repository.tags.clear()
    asked = len(hub.asked)
    client.tag(SETTINGS, wanted, moving="production")
    assert len(hub.asked) == asked, "a process asks once: upkeep comes every half minute"
    HuggingFaceHub().tag(SETTINGS, wanted, moving="production")
    assert repository.tags == wanted
    repository.tags.update(dict.fromkeys(wanted, str(repository.commits[0]["id"])))
    with pytest.raises(Corrupt, match="Tag v2"):
        HuggingFaceHub().tag(SETTINGS, wanted, moving="production")
    assert repository.tags["production"] == commit, "what may move is moved before"


@pytest.mark.parametrize(
    ("call", "statuses"),
    [
        ("GET /api/models/team/topics", (503, 502)),
        ("/api/repos/create", (500,)),
        ("/api/validate-yaml", (504,)),
        ("/preupload/", (500, 503)),
        ("/info/lfs/objects/batch", (503,)),
        ("PUT /upload/", (500,)),
        ("/commit/main", (500, 502, 503, 504, 429)),
        ("/commit/main", (409, 409)),
        ("/commits/", (503,)),
        ("/revision/", (503,)),
        ("/refs", (503,)),
        ("/tag/", (500, 409)),
    ],
)
def test_a_passing_fault_is_tried_again(
    hub: HubServer, client: HuggingFaceHub, tmp_path: Path, slept: list[float], call: str, statuses: tuple[int, ...]
) -> None:
    hub.fail(call, *statuses)
    commit = client.publish(SETTINGS, publication(tmp_path), attempts=6)
    assert (commits(hub), hub.repositories[REPO].tags) == (["topics v2"], {"v2": commit})
    assert len(slept) == len(statuses)


def test_a_hub_that_stays_away_is_asked_six_times(
    hub: HubServer, client: HuggingFaceHub, tmp_path: Path, slept: list[float]
) -> None:
    hub.fail("/commit/main", *[503] * 50)
    with pytest.raises(Unavailable, match=r"/commit/main gave 503"):
        client.publish(SETTINGS, publication(tmp_path), attempts=6)
    assert (hub.calls("/commit/main"), len(slept)) == (6, 5)


@pytest.mark.parametrize("status", [500, 502, 504, 429])
def test_a_commit_that_landed_and_failed_is_not_made_twice(
    hub: HubServer, client: HuggingFaceHub, tmp_path: Path, status: int
) -> None:
    hub.landing = [status]
    commit = client.publish(SETTINGS, publication(tmp_path), attempts=6)
    assert (commits(hub), hub.calls("/commit/main")) == (["topics v2"], 1)
    assert hub.repositories[REPO].tags == {"v2": commit}


def test_it_waits_as_long_as_the_hub_says(
    hub: HubServer, client: HuggingFaceHub, tmp_path: Path, slept: list[float]
) -> None:
    hub.headers = {"Retry-After": "7"}
    hub.fail("/preupload/", 429)
    client.publish(SETTINGS, publication(tmp_path), attempts=6)
    assert slept == [7]
    hub.headers = {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)}
    hub.fail("/preupload/", 429)
    client.publish(SETTINGS, publication(tmp_path, 4), attempts=6)
    assert 20 < slept.pop() <= 50
    hub.headers = {"Retry-After": "3600"}
    hub.fail("/preupload/", 429)
    with pytest.raises(Unavailable):
        client.publish(SETTINGS, publication(tmp_path, 3), attempts=6)
    asked = len(hub.asked)
    with pytest.raises(Unavailable):
        client.publish(SETTINGS, publication(tmp_path, 3), attempts=6)
    assert (slept, len(hub.asked)) == ([7], asked), "an hour is neither slept nor ignored"


def _meanwhile(server: HubServer, changes: dict[str, bytes | None]) -> None:
    """Let somebody commit just before the next commit arrives."""
    left = [changes]

    def fault(method: str, path: str) -> None:
        if left and path.endswith("/commit/main"):
            server.repositories[REPO].commit("by hand", "", left.pop())

    server.faults.append(fault)


def test_a_head_that_moved_elsewhere_is_built_upon(hub: HubServer, client: HuggingFaceHub, tmp_path: Path) -> None:
    _meanwhile(hub, {"NOTES.md": b"mine"})
    client.publish(SETTINGS, publication(tmp_path), attempts=6)
    assert commits(hub) == ["by hand", "topics v2"]
    assert hub.calls("/commit/main") == 2
    assert hub.repositories[REPO].head["tree"]["NOTES.md"] == b"mine"


@pytest.mark.parametrize("changes", [{"README.md": b"better words"}, {"labels.json": b'["a"]'}])
def test_what_somebody_else_changed_is_not_overwritten(
    hub: HubServer, client: HuggingFaceHub, tmp_path: Path, changes: dict[str, bytes | None]
) -> None:
    client.publish(SETTINGS, publication(tmp_path), attempts=6)
    _meanwhile(hub, changes)
    for _ in range(2):
        with pytest.raises(Refused, match="changed by somebody else"):
            client.publish(SETTINGS, publication(tmp_path, 3, more=False), attempts=6)
    assert commits(hub) == ["topics v2", "by hand"]
    hub.repositories[REPO].commit(
        "taken back", "", {path: hub.repositories[REPO].commits[1]["tree"][path] for path in changes}
    )
    client.publish(SETTINGS, publication(tmp_path, 3, more=False), attempts=6)
    assert commits(hub)[-1] == "topics v3"  # fmt: skip


def test_a_hub_that_hangs_is_left_and_found_again(hub: HubServer, tmp_path: Path) -> None:
    client = HuggingFaceHub(idle_seconds=1, rest_seconds=0, sleep=lambda _: None)
    hub.released.clear()
    with pytest.raises(Unavailable, match="ReadTimeout"):
        client.publish(SETTINGS, publication(tmp_path), attempts=2)
    assert len(hub.asked) == 2
    hub.released.set()
    client.publish(SETTINGS, publication(tmp_path), attempts=20)
    assert commits(hub) == ["topics v2"]


def test_a_hub_that_is_not_there(client: HuggingFaceHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(Unavailable, match="ConnectError"):
        client.publish(SETTINGS, publication(tmp_path), attempts=2)


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_without_the_right_is_not_tried_again(
    hub: HubServer, tmp_path: Path, slept: list[float], status: int
) -> None:
    client = HuggingFaceHub(sleep=slept.append)
    hub.fail("/api/repos/create", *[status] * 50, body={"error": f"no rights for {TOKEN}"})
    for _ in range(5):
        with pytest.raises(Refused, match=r"HF_TOKEN.*write to team/topics") as refused:
            client.publish(SETTINGS, publication(tmp_path), attempts=6)
        assert TOKEN not in str(refused.value)
    assert (len(hub.asked), slept) == (2, [])


def test_an_expired_token_costs_one_call(hub: HubServer, tmp_path: Path) -> None:
    client = HuggingFaceHub()
    hub.token = "another"
    for _ in range(5):
        with pytest.raises(Refused, match="401"):
            client.publish(SETTINGS, publication(tmp_path), attempts=6)
    assert len(hub.asked) == 1


def test_without_a_token_nobody_is_asked(
    hub: HubServer, client: HuggingFaceHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(Refused, match="HF_TOKEN is not set"):
        client.publish(SETTINGS, publication(tmp_path), attempts=6)
    assert hub.asked == []


def test_the_token_is_in_no_error(hub: HubServer, client: HuggingFaceHub, tmp_path: Path) -> None:
    hub.fail("/commit/main", 422, body={"error": f"token {TOKEN} is odd"})
    with pytest.raises(PlatformError, match=r"token \*\*\* is odd") as refused:
        client.publish(SETTINGS, publication(tmp_path), attempts=6)
    assert TOKEN not in repr(refused.value)
    assert refused.value.__suppress_context__


def test_other_bytes_than_were_sent_are_no_success(hub: HubServer, client: HuggingFaceHub, tmp_path: Path) -> None:
    hub.keeps = lambda path, content: content[:-1] if path.endswith(".onnx") else content
    for _ in range(2):
        with pytest.raises(Corrupt, match=r"deep/model\.onnx"):
            client.publish(SETTINGS, publication(tmp_path), attempts=6)
    assert (commits(hub), hub.repositories[REPO].tags) == (["topics v2"], {})


def test_a_tag_is_never_moved(hub: HubServer, client: HuggingFaceHub, tmp_path: Path) -> None:
    hub.repositories[REPO] = Repository(private=True)
    hub.repositories[REPO].tags["v2"] = hub.repositories[REPO].head["id"]
    with pytest.raises(Corrupt, match="Tag v2"):
        client.publish(SETTINGS, publication(tmp_path), attempts=6)


def test_a_public_repository_is_not_used_by_mistake(hub: HubServer, client: HuggingFaceHub, tmp_path: Path) -> None:
    hub.repositories[REPO] = Repository(private=False)
    with pytest.raises(Refused, match="public"):
        client.publish(SETTINGS, publication(tmp_path), attempts=6)
    client.publish(Hub(repo=REPO, private=False), publication(tmp_path), attempts=6)
    assert commits(hub) == ["topics v2"]


def test_metadata_that_the_hub_refuses_is_said(hub: HubServer, client: HuggingFaceHub, tmp_path: Path) -> None:
    made = publication(tmp_path)
    with pytest.raises(Refused, match="license"):
        client.publish(SETTINGS, Publication("topics", 2, made.servable, made.folder, "no metadata"), attempts=6)
    assert commits(hub) == []


def test_ready_makes_nothing(hub: HubServer, client: HuggingFaceHub, tmp_path: Path) -> None:
    assert client.ready(SETTINGS) == "team/topics is made by the first release"
    client.publish(SETTINGS, publication(tmp_path), attempts=6)
    assert client.ready(SETTINGS) == "team/topics answers"
