"""What the doctor says of a line, for families of every kind: by the same questions."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from mlops_assets.core.line import Hub, Judge
from mlops_assets.core.policy import Analyst
from mlops_assets_tests.cli.conftest import Shell
from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lines import baseline_line


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What the doctor finds in a project with two lines of its own, whose judge and analyst lack package and key."""
    folder = tmp_path_factory.mktemp("project")
    judge = Judge(model="cohere:command", subject="short texts")
    topics = baseline_line(folder, judge=judge)
    policy = topics.policy.model_copy(update={"analyst": Analyst(model="cohere:command")})
    declare(folder / "lines", topics.model_copy(update={"policy": policy}))
    policy = topics.policy.model_copy(update={"analyst": Analyst(model="openai:m")})
    declare(folder / "lines", baseline_line(folder, name="themes", policy=policy, hub=Hub(repo="team/themes")))
    return {each["name"]: each for each in Shell(folder)("doctor", "--json", MLOPS_ROOT=str(folder)).document}


def test_every_line_of_the_project_is_looked_at(found: dict[str, dict[str, str]]):
    defs = Path(__file__).parents[2] / "mlops_assets/defs"
    declared = {path.parent.name for path in defs.glob("*/defs.yaml")}
    assert declared <= {name.partition(": ")[0] for name in found}


def test_base_weights_that_are_absent_are_named_with_what_to_do(found: dict[str, dict[str, str]]):
    weights = found["speech: speech base weights"]
    assert weights["state"] == "warn"
    assert "make fetch" in weights["todo"]


def test_a_judge_that_cannot_be_asked_is_named_with_what_to_install(found: dict[str, dict[str, str]]):
    judge = found["topics: data judge"]
    assert judge["state"] == "FAIL"
    assert "langchain-cohere" in judge["found"]


def test_an_analyst_that_cannot_be_asked_stops_nothing_and_is_named(found: dict[str, dict[str, str]]):
    absent, keyless = found["topics: analyst"], found["themes: analyst"]
    assert (absent["state"], keyless["state"]) == ("warn", "warn")
    assert "langchain-cohere" in absent["found"]
    assert "key" in keyless["found"]
    assert "the rule alone decides" in keyless["todo"]


def test_a_hub_without_a_token_is_named_with_what_to_set(found: dict[str, dict[str, str]]):
    hub = found["themes: hub"]
    assert hub["state"] == "warn"
    assert "HF_TOKEN" in hub["todo"]
    assert "topics: hub" not in found


def test_a_line_without_a_sealed_set_is_told_what_that_risks(found: dict[str, dict[str, str]]):
    assert found["topics: sealed set"]["state"] == "warn"
    assert "intent: sealed set" not in found


@pytest.mark.parametrize("table", ["ledger_head", "versions"])
def test_a_broken_database_is_a_finding_and_the_rest_is_looked_at(own_shell: Shell, table: str):
    with contextlib.closing(sqlite3.connect(own_shell.folder / "home" / "platform.db")) as database:
        database.execute(f"DROP TABLE {table}")
    done = own_shell("doctor", "--json")
    broken = [each for each in done.document if each["state"] == "FAIL" and f"no such table: {table}" in each["found"]]
    assert done.code == 1
    assert broken
    assert all("Restore it" in each["todo"] for each in broken)
    assert any(each["name"] == "topics: sealed set" for each in done.document)


def test_a_file_that_is_no_database_is_a_finding(own_shell: Shell):
    (own_shell.folder / "home" / "platform.db").write_bytes(b"no database" * 1000)
    done = own_shell("doctor", "--json")
    assert done.code == 1
    assert any("file is not a database" in each["found"] for each in done.document)


def test_what_serves_is_read_to_its_last_byte(own_shell: Shell):
    home = own_shell.folder / "home"
    fine = {each["name"]: each for each in own_shell("doctor", "--json").document}
    assert fine["topics: production"]["found"] == "version 2 is whole"
    for folder in ("artifacts", "cache"):
        for found in [path for path in (home / folder).rglob("*") if path.is_file()]:
            found.unlink()
    lost = {each["name"]: each for each in own_shell("doctor", "--json").document}["topics: what serves"]
    assert lost["state"] == "FAIL"
    assert "of topics is not whole" in lost["found"]
