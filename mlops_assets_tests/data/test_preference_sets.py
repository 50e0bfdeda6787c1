import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mlops_assets.core.dataset import read_items
from mlops_assets.families.preference import FAMILY
from mlops_assets.families.preference.config import Config
from mlops_assets.wiring.lines import read_lines

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data"
SETS = {
    "golden": DATA / "golden/preference/events.csv",
    "sealed": DATA / "golden/preference-sealed/events.csv",
    "good": DATA / "samples/preference/good.jsonl",
    "inverted": DATA / "samples/preference/inverted.csv",
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """What the family finds in each committed set, and its items."""
    folder = tmp_path_factory.mktemp("sets")
    line = next(line for line in read_lines() if line.line == "preference")
    config, found = Config.model_validate(line.config), {}
    for name, path in SETS.items():
        (folder / name).mkdir()
        (folder / name / path.name).write_bytes(path.read_bytes())
        found[name] = FAMILY.check(folder / name, folder / f"{name} data", config, lambda _: None)
        found[f"{name} items"] = read_items(folder / f"{name} data")
    return found


def test_the_sets_are_what_their_script_makes():
    command = [sys.executable, "-m", "data.preference.make", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "The same bytes again.\n")


def test_every_set_is_clean_synthetic_and_small(checked):
    for name, path in SETS.items():
        assert [found.code for found in checked[name].findings if found.severity != "flag"] == []
        assert checked[name].quality_score == 10
        assert checked[name].origin == "synthetic"
        assert path.stat().st_size < 300_000


@pytest.mark.parametrize("name", ["golden", "sealed"])
def test_golden_users_are_many_and_new_ones_are_in_no_batch(checked, name):
    golden = checked[f"{name} items"]
    users = {
        cohort: {each.cluster for each in golden if f"user:{cohort}" in each.slices} for cohort in ("known", "new")
    }
    batches = {each.cluster for name in ("good", "inverted") for each in checked[f"{name} items"]}
    assert len(golden) >= 400
    assert len(users["known"] | users["new"]) >= 40
    assert users["known"] <= batches
    assert not users["new"] & batches


def test_golden_and_batches_share_no_event(checked):
    for name in ("good", "inverted"):
        assert FAMILY.leaks(checked[f"{name} items"], checked["golden items"]) == []


def test_the_sealed_set_is_of_other_users_and_shares_no_event(checked):
    sealed = checked["sealed items"]
    assert not {each.cluster for each in sealed} & {each.cluster for each in checked["golden items"]}
    for name in ("golden", "good", "inverted"):
        assert FAMILY.leaks(checked[f"{name} items"], sealed) == []


def test_golden_events_are_later_than_what_is_learned_from():
    golden = [row["timestamp"] for row in csv.DictReader(SETS["golden"].read_text().splitlines())]
    learned = [json.loads(line)["timestamp"] for line in SETS["good"].read_text().splitlines()]
    assert min(golden) > max(learned)


def test_the_demo_shows_files_that_are_there():
    demo = yaml.safe_load((DATA / "samples/preference/demo.yaml").read_text())
    assert [(DATA / "samples/preference" / step["file"]).is_file() for step in demo] == [True, True]
