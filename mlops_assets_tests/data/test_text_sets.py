import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_assets.cli.samples import read_samples
from mlops_assets.core.dataset import read_items
from mlops_assets.core.digests import sha256_file, sha256_folder
from mlops_assets.core.family import Checked
from mlops_assets.core.policy import Policy
from mlops_assets.core.records.data import Item
from mlops_assets.families.text import FAMILY

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data"
BUDGET = 300 * 1024
LINES = ("intent", "context", "worthiness", "emotion")
GOOD = {"intent": "good.csv", "context": "good.jsonl", "worthiness": "good.parquet", "emotion": "good.csv"}
BAD = {"intent": "shifted.csv", "context": "too-few.csv", "worthiness": "leaked.csv", "emotion": "inverted.jsonl"}
NEAR_TWIN = 0.55


@cache
def line(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"mlops_assets/defs/{name}/defs.yaml").read_text())["attributes"]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory):
    """Return what the family's check makes of a set, each checked once."""

    @cache
    def one(name: str, path: Path) -> tuple[Checked, list[Item]]:
        work = tmp_path_factory.mktemp("set")
        (work / "raw").mkdir()
        for file in path.iterdir() if path.is_dir() else [path]:
            shutil.copyfile(file, work / "raw" / file.name)
        config = FAMILY.Config.model_validate(line(name)["config"])
        return FAMILY.check(work / "raw", work / "out", config, lambda _: None), read_items(work / "out")

    return one


@cache
def phrases() -> dict[str, dict[str, list[dict[str, Any]]]]:
    made = subprocess.run([sys.executable, "-c", _PHRASES], cwd=ROOT, capture_output=True, check=True)
    return json.loads(made.stdout)


_PHRASES = f"""
import json
from data.text.rows import phrases_of
print(json.dumps({{
    line: {{side: [vars(phrase) for phrase in phrases_of(line, side)] for side in ("golden", "batch")}}
    for line in {LINES}
}}))
"""


@pytest.mark.parametrize("sealed", ["", "-sealed"])
@pytest.mark.parametrize("name", LINES)
def test_every_golden_message_passes_every_check_and_says_that_it_is_synthetic(checked, name, sealed):
    found, items = checked(name, DATA / "golden" / (name + sealed))
    assert (found.kept, found.findings, found.origin) == (found.total, (), "synthetic")
    assert 250 <= found.kept <= 400
    assert {item.origin for item in items} == {"synthetic"}
    assert len({item.cluster for item in items}) >= 20


def test_the_suite_of_disguised_intents_holds_every_label(checked):
    found, _ = checked("intent", DATA / "golden/intent-edge")
    assert found.findings == ()
    assert found.kept == 64
    assert min(found.labels.values()) >= 6


@pytest.mark.parametrize("name", LINES)
def test_a_good_batch_meets_the_counts_of_its_line_and_loses_nothing(checked, name):
    found, _ = checked(name, DATA / "samples" / name / GOOD[name])
    gates = Policy.model_validate(line(name)["policy"]).data
    assert (found.kept, found.origin) == (found.total, "synthetic")
    assert found.quality_score >= gates.min_quality
    assert found.kept >= gates.min_items
    assert min(found.labels.values()) >= gates.min_per_label > 0
    assert max(found.labels.values()) <= 1.5 * min(found.labels.values())


@pytest.mark.parametrize("name", LINES)
def test_no_person_and_no_phrase_of_the_golden_set_is_in_a_batch(checked, name):
    _, golden = checked(name, DATA / "golden" / name)
    _, good = checked(name, DATA / "samples" / name / GOOD[name])
    assert not {item.cluster for item in golden} & {item.cluster for item in good}
    sides = phrases()[name]
    assert not {each["id"] for each in sides["golden"]} & {each["id"] for each in sides["batch"]}
    twins = [(a["text"], b["text"]) for a in sides["golden"] for b in sides["batch"] if _near(a["text"], b["text"])]
    assert twins == []


def _near(one: str, other: str) -> bool:
    a, b = (set(re.findall(r"[\w']+", re.sub(r"\{\w+\}", " ", text).lower())) for text in (one, other))
    return len(a & b) >= NEAR_TWIN * len(a | b) > 0


@pytest.mark.parametrize("name", LINES)
def test_a_good_batch_leaks_nothing_of_the_golden_set(checked, name):
    _, golden = checked(name, DATA / "golden" / name)
    assert FAMILY.leaks(checked(name, DATA / "samples" / name / GOOD[name])[1], golden) == []


@pytest.mark.parametrize("name", LINES)
def test_a_sealed_set_shares_no_person_and_no_message_with_the_golden_set_or_a_batch(checked, name):
    _, sealed = checked(name, DATA / "golden" / f"{name}-sealed")
    shown = [DATA / "golden" / name, *(DATA / "samples" / name / files[name] for files in (GOOD, BAD))]
    shown += [DATA / "golden/intent-edge"] if name == "intent" else []
    for path in shown:
        _, items = checked(name, path)
        assert FAMILY.leaks(items, sealed) == []
        assert not {item.cluster for item in items} & {item.cluster for item in sealed}


@pytest.mark.parametrize("name", ["intent", "context", "worthiness"])
def test_no_golden_message_has_another_label_than_its_phrase(name):
    fitting = {each["id"]: each["labels"] for each in phrases()[name]["golden"]}
    column = line(name)["config"]["label_column"]
    rows = _rows(next((DATA / "golden" / name).iterdir()))
    assert all(row[column] in fitting[row["template"]] for row in rows)
    assert any(len(fitting[row["template"]]) > 1 for row in rows), "some fit two labels: nothing gets all right"


def _rows(path: Path) -> list[dict[str, str]]:
    import pyarrow.csv

    if path.suffix == ".jsonl":
        return [json.loads(row) for row in path.read_text("utf-8").splitlines()]
    strings = pyarrow.csv.ConvertOptions(column_types={"is_worthy": pyarrow.string()})
    return pyarrow.csv.read_csv(path, convert_options=strings).to_pylist()


def test_the_bad_batches_are_bad_in_four_ways(checked):
    shifted, _ = checked("intent", DATA / "samples/intent" / BAD["intent"])
    gates = Policy.model_validate(line("intent")["policy"]).data
    assert shifted.findings == ()
    assert min(shifted.labels.values()) >= gates.min_per_label

    few, _ = checked("context", DATA / "samples/context" / BAD["context"])
    assert few.labels["psychological"] == few.labels["aspirational"] == 0

    _, leaked = checked("worthiness", DATA / "samples/worthiness" / BAD["worthiness"])
    leaks = FAMILY.leaks(leaked, checked("worthiness", DATA / "golden/worthiness")[1])
    assert len(leaks) == 200
    assert {leak.kind for leak in leaks} == {"exact", "text"}
    assert len(leaks) / len(leaked) > 0.2

    inverted, _ = checked("emotion", DATA / "samples/emotion" / BAD["emotion"])
    assert min(inverted.labels.values()) > 0.7 * inverted.kept


@pytest.mark.parametrize("name", LINES)
def test_the_demo_lists_one_good_and_one_bad_batch(name):
    listed = [sample.file for sample in read_samples(DATA / "samples" / name)]
    assert listed == [GOOD[name], BAD[name]]


def test_the_batches_come_in_every_format():
    assert {Path(file).suffix for file in GOOD.values()} == {".csv", ".jsonl", ".parquet"}


def test_the_committed_bytes_are_those_that_were_recorded_and_stay_small():
    digests = json.loads((DATA / "text/digests.json").read_text())["digests"]
    for name, digest in digests.items():
        path = DATA / name
        assert digest == (sha256_folder(path) if path.is_dir() else sha256_file(path)), name
    for name in LINES:
        files = [*(DATA / "golden" / name).iterdir(), *(DATA / "samples" / name).iterdir()]
        assert sum(file.stat().st_size for file in files) < BUDGET
        assert sum(file.stat().st_size for file in (DATA / "golden" / f"{name}-sealed").iterdir()) < BUDGET / 3


def test_the_same_script_makes_the_same_bytes():
    done = subprocess.run(
        [sys.executable, "-m", "data.text.make", "--check"],
        cwd=DATA.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 3:
        pytest.skip(f"another pyarrow than the recorded one: {done.stdout}")
    assert done.returncode == 0, done.stdout + done.stderr
