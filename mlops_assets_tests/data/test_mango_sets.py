"""The committed mango pictures: what they hold, and that golden set and batches share nothing."""

import csv
import io
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from mlops_assets.core.dataset import read_items
from mlops_assets.core.digests import sha256_file, sha256_folder
from mlops_assets.families.vision import FAMILY

pytest.importorskip("PIL", reason="the vision extra is not installed")

DATA = Path(__file__).parents[2] / "data"
BUDGET = 4_500_000
RECIPE = tomllib.loads((DATA / "vision/recipe.toml").read_text())
LABELS = list(RECIPE["stages"])
FOLDERS = {"golden": "golden/mango", "sealed": "golden/mango-sealed"}
BATCHES = ("good", "blurred", "wrong-labels")


def rows(name: str) -> list[dict[str, str]]:
    if name in FOLDERS:
        return list(csv.DictReader((DATA / FOLDERS[name] / "manifest.csv").read_text().splitlines()))
    with zipfile.ZipFile(DATA / f"samples/mango/{name}.zip") as archive:
        if "manifest.csv" in archive.namelist():
            return list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode())))
        return [json.loads(line) for line in archive.read("manifest.jsonl").decode().splitlines()]


@pytest.mark.parametrize("name", [*FOLDERS, *BATCHES])
def test_a_set_is_balanced_and_says_that_it_is_synthetic(name: str) -> None:
    listed = rows(name)
    assert len(listed) == RECIPE["sets"][name]["count"]
    counts = [sum(row["label"] == label for row in listed) for label in LABELS]
    assert max(counts) == min(counts)
    assert {row["origin"] for row in listed} == {"synthetic"}


def test_golden_sealed_and_batches_share_no_session_no_ground_and_no_picture(tmp_path: Path) -> None:
    config = FAMILY.Config.model_validate({"labels": LABELS})
    with zipfile.ZipFile(DATA / "samples/mango/good.zip") as archive:
        archive.extractall(tmp_path / "good")
    FAMILY.check(DATA / "golden/mango", tmp_path / "golden-set", config, lambda _: None)
    FAMILY.check(tmp_path / "good", tmp_path / "good-set", config, lambda _: None)
    FAMILY.check(DATA / "golden/mango-sealed", tmp_path / "sealed-set", config, lambda _: None)
    golden, sealed, good = (read_items(tmp_path / f"{name}-set") for name in ("golden", "sealed", "good"))
    assert (len(golden), len(sealed), len(good)) == (200, 180, 300)
    assert FAMILY.leaks(good, [*golden, *sealed]) == FAMILY.leaks(golden, sealed) == []
    assert not {item.cluster for item in golden} & {item.cluster for item in sealed}
    sets = RECIPE["sets"]
    for name in BATCHES:
        assert not {row["source"] for row in rows(name)} & {item.cluster for item in [*golden, *sealed]}
        assert not set(sets[name]["grounds"]) & {*sets["golden"]["grounds"], *sets["sealed"]["grounds"]}
    assert len({item.cluster for item in golden}) == 40


def test_blurred_photographs_fall_below_the_quality_line(tmp_path: Path) -> None:
    config = FAMILY.Config.model_validate({"labels": LABELS})
    with zipfile.ZipFile(DATA / "samples/mango/blurred.zip") as archive:
        archive.extractall(tmp_path / "blurred")
    assert FAMILY.check(tmp_path / "blurred", tmp_path / "set", config, lambda _: None).quality_score < 7


def test_the_committed_bytes_are_those_that_were_recorded() -> None:
    recorded = json.loads((DATA / "vision/digests.json").read_text())["digests"]
    found = {
        name: sha256_folder(DATA / name) if (DATA / name).is_dir() else sha256_file(DATA / name) for name in recorded
    }
    assert found == recorded
    files = [
        path for folder in (*FOLDERS.values(), "samples/mango") for path in (DATA / folder).rglob("*") if path.is_file()
    ]
    assert sum(path.stat().st_size for path in files) < BUDGET


@pytest.mark.slow
def test_the_sets_can_be_made_again() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "data.vision.make", "--check"], cwd=DATA.parent, stdout=subprocess.PIPE, text=True
    )
    if run.returncode == 3:
        pytest.skip(run.stdout)
    assert run.returncode == 0, run.stdout
