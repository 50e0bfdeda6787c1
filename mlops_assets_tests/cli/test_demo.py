"""The tour as its user meets it: two small lines, one of which lacks what it needs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_assets.cli.samples import read_samples, with_samples
from mlops_assets.core.errors import ConfigError, NotFound
from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lines import BATCHES, baseline_line

SAMPLES = [
    {"file": "good", "shows": "texts with right labels"},
    {"file": "small", "shows": "too few texts to tell", "approve": False, "reason": "Six texts are too few."},
]


def write_samples(folder: Path, samples: list[dict[str, Any]]) -> Path:
    for sample in samples:
        BATCHES[sample["file"]](folder / sample["file"])
    (folder / "demo.yaml").write_text(yaml.safe_dump(samples))
    return folder


def mlops(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
    environment |= {"MLOPS_ROOT": str(folder), "MLOPS_LINES": str(folder / "lines")}
    return subprocess.run(
        [sys.executable, "-m", "mlops_assets.cli", *arguments], capture_output=True, text=True, env=environment
    )


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A project whose tour was taken once; the line `absent` waits for its golden set."""
    folder = tmp_path_factory.mktemp("project")
    declare(folder / "lines", baseline_line(folder))
    absent = baseline_line(folder, name="absent")
    lost = absent.golden.model_copy(update={"path": str(folder / "nowhere")})
    declare(folder / "lines", absent.model_copy(update={"golden": lost}))
    write_samples(folder / "data/samples/topics", SAMPLES)
    write_samples(folder / "data/samples/absent", SAMPLES[:1])
    return folder, mlops(folder, "demo")


def test_a_tour_takes_every_line_with_samples_and_ends_in_one_table(toured):
    _, done = toured
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("topics"))
    assert "APPROVE v2, REJECT" in row
    assert "accuracy" in row
    assert "synthetic" in row
    assert "absent skipped: " in done.stdout
    assert "nowhere" in done.stdout
    assert "waits for a person" in done.stderr


def test_a_second_tour_shows_what_was_recorded(toured):
    folder, _ = toured
    done = mlops(folder, "demo", "topics", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("this home has run it before") == 2
    assert [each["deployment_status"] for each in json.loads(done.stdout)] == ["SUCCESS", "FAILED_EVALUATION"]


def test_a_demo_that_could_show_nothing_has_failed(toured):
    folder, _ = toured
    assert mlops(folder, "demo", "absent").returncode == 1


def test_the_samples_of_every_line_in_the_project_are_readable():
    folder = Path(__file__).parents[2] / "data/samples"
    assert "speech" in with_samples(folder)
    for name in with_samples(folder):
        assert len(read_samples(folder / name)) >= 2


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (None, NotFound, "has no sample batches"),
        ("- {file: gone.csv, shows: nothing}", NotFound, "gone.csv is missing"),
        ("- {file: a.csv, show: nothing}", ConfigError, "0.show"),
        ("- [", ConfigError, "is not YAML"),
    ],
)
def test_a_list_that_is_wrong_says_where(tmp_path: Path, content: str | None, error: type[Exception], says: str):
    if content is not None:
        (tmp_path / "demo.yaml").write_text(content)
    with pytest.raises(error, match=says):
        read_samples(tmp_path)
