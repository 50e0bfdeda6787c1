"""Replaying decisions as a user does: on the home they were made in, and on a copy of it elsewhere."""

from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.records.decision import Decision
from mlops_assets.lifecycle.decide.replaying import recorded_decisions
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings
from mlops_assets_tests.cli.conftest import Shell
from mlops_assets_tests.lifecycle.tampering import rewrite, tamper
from mlops_assets_tests.platform_fixture import copied


def decided(shell: Shell) -> list[Decision]:
    """Return the decisions of a home, without the command."""
    home = shell.folder / "home"
    return recorded_decisions(open_platform(Settings(root=shell.folder, home=home)))


@pytest.fixture
def copy(lived_in: Path, tmp_path: Path) -> Shell:
    """The lived-in home alone, copied to where no line is declared."""
    (tmp_path / "elsewhere" / "lines").mkdir(parents=True)
    copied(lived_in / "home", tmp_path / "elsewhere" / "home")
    return Shell(tmp_path / "elsewhere")


def test_one_decision_comes_out_the_same_with_its_numbers_made_again(shell: Shell):
    known = shell("decisions", "list", "topics", "--json").document[0]["decision_id"]
    done = shell("decisions", "replay", known[:10], "--json")
    assert (done.code, done.document["identical"]) == (0, 1), done.out
    assert done.document["replays"][0]["from_scores"] == "identical"


def test_a_copied_home_replays_without_its_lines(copy: Shell):
    done = copy("decisions", "replay", "--all", "--json")
    assert (done.code, done.document["decisions"], done.document["identical"]) == (0, 2, 2), done.out
    one = copy("decisions", "replay", done.document["replays"][0]["decision_id"][:8], "--json")
    assert one.code == 0
    assert "no line 'topics' is declared here" in one.document["replays"][0]["from_scores"]


def test_a_copied_home_with_its_lines_makes_the_numbers_again(lived_in: Path, copy: Shell):
    done = copy("decisions", "replay", "--all", "--from-scores", "--json", MLOPS_LINES=str(lived_in / "lines"))
    assert done.code == 0, done.out
    assert {each["from_scores"] for each in done.document["replays"]} == {"identical"}


def test_what_was_changed_is_named_with_its_place(copy: Shell):
    def harm(decision: dict[str, Any]) -> None:
        decision["evidence"]["comparisons"][0]["gain_lower"] = -1.0

    known = decided(copy)[0]
    rewrite(copy.folder / "home", "decision", known.batch_id, harm)
    done = copy("decisions", "replay", known.decision_id, "--json")
    assert (done.code, done.document["identical"]) == (1, 0)
    replay = done.document["replays"][0]
    assert (replay["recorded"], replay["replayed"]) == ("APPROVE", "HUMAN_REVIEW")
    places = {each["where"]: each for each in replay["differences"]}
    assert places["verdict"]["recorded"] == "APPROVE"
    assert "evidence digest" in places
    assert any("gain in accuracy on golden" in place for place in places)
    said = copy("decisions", "replay", "--all")
    assert said.code == 1
    assert "evidence digest" in said.out
    assert "decided by" in said.out


def test_a_policy_that_was_not_copied_is_a_sentence(copy: Shell):
    digest = decided(copy)[0].policy_digest
    next((copy.folder / "home").rglob(f"sha256/*/{digest}")).unlink()
    done = copy("decisions", "replay", "--all", "--json")
    assert (done.code, done.document["identical"]) == (1, 0)
    assert "is not in the artifact store" in done.document["replays"][0]["problem"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("abc", "--all"), 2, "Name one decision, or --line LINE, or --all"),
        (("--line", "nowhere"), 1, "no decision of a line 'nowhere'"),
    ],
)
def test_what_cannot_be_replayed_is_a_sentence(shell: Shell, arguments: tuple[str, ...], code: int, says: str):
    done = shell("decisions", "replay", *arguments)
    assert done.code == code
    assert says in " ".join((done.out + done.err).split())


def test_the_doctor_names_the_entry_and_the_record_that_were_changed(copy: Shell):
    known = decided(copy)[0]
    tamper(copy.folder / "home", "UPDATE ledger SET actor = 'eve' WHERE sequence = 2")
    rewrite(copy.folder / "home", "decision", known.batch_id, lambda record: record.update(verdict="REJECT"))
    done = copy("doctor", "--json")
    found = {each["name"]: each for each in done.document}
    assert done.code == 1
    assert found["ledger"]["found"].startswith("Entry 2 (")
    assert f"Decision {known.decision_id[:12]}" in found["records"]["found"]
