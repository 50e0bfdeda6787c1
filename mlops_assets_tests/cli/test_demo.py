"""The tour as its user meets it: two small lines, one of which lacks what it needs."""

import re
from pathlib import Path

import pytest
import yaml

from mlops_assets.cli.samples import read_samples, with_samples
from mlops_assets.core.errors import ConfigError, NotFound
from mlops_assets_tests.cli.conftest import Done, Shell
from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lines import BATCHES, baseline_line
from mlops_assets_tests.platform_fixture import copied

SAMPLES = [
    {"file": "good", "shows": "texts with right labels"},
    {"file": "small", "shows": "too few texts to tell", "approve": False, "reason": "Six texts are too few."},
    {"file": "wrong", "shows": "texts with the labels of others"},
]


@pytest.fixture(scope="module")
def shell(lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A home in which `good` was run and `small` waits for an answer; the line `absent` waits for its golden set."""
    folder = tmp_path_factory.mktemp("project") / "site"
    copied(lived_in, folder)
    absent = baseline_line(folder, name="absent")
    lost = absent.golden.model_copy(update={"path": str(folder / "nowhere")})
    declare(folder / "lines", absent.model_copy(update={"golden": lost}))
    for name, samples in (("topics", SAMPLES), ("absent", SAMPLES[:1])):
        for sample in samples:
            BATCHES[str(sample["file"])](folder / "data/samples" / name / str(sample["file"]))
        (folder / "data/samples" / name / "demo.yaml").write_text(yaml.safe_dump(samples))
    return Shell(folder)


@pytest.fixture(scope="module")
def tour(shell: Shell) -> Done:
    """What a tour without a name said."""
    return shell("demo", MLOPS_ROOT=str(shell.folder))


def test_a_tour_takes_every_line_with_samples_and_ends_in_one_table(tour: Done):
    assert tour.code == 0, tour.err
    row = next(line for line in tour.out.splitlines() if line.startswith("topics"))
    assert "APPROVE v2, REJECT, REJECT" in row
    assert "accuracy" in row
    assert "synthetic" in row


def test_a_tour_skips_a_line_that_lacks_something_and_says_what(tour: Done):
    assert "absent skipped: " in tour.out
    assert "nowhere" in tour.out


def test_a_tour_goes_on_where_it_was_stopped_and_answers_what_waits(tour: Done):
    assert tour.err.count("this home has run it before") == 1
    assert tour.err.count("waits for a person") == 1


def test_a_tour_ends_with_live_predictions_and_two_canaries(tour: Done):
    served = tour.out[tour.out.index("Live predictions") :]
    canaries = served[served.index("Canaries of topics") :]
    # The harmed one; that the other is promoted depends on how busy the machine is.
    assert "rolled back" in canaries, canaries
    counted = re.findall(r"^v(\d) .*?(\d+) +(\d+) +(\d+) +\d+ *$", canaries, re.MULTILINE)
    assert [version for version, *_ in counted] == ["2", "1"], canaries
    assert [failed for *_, failed in counted] == ["0", "0"], canaries
    assert all(0 < int(canary) < int(requests) for _, requests, canary, _ in counted), canaries
    assert "topics serves v2" in served


def test_a_second_tour_shows_what_was_recorded(shell: Shell, tour: Done):
    again = shell("demo", "topics", "--json", MLOPS_ROOT=str(shell.folder))
    assert again.code == 0, again.err
    assert again.err.count("this home has run it before") == 3
    ends = [each["deployment_status"] for each in again.document]
    assert ends == ["SUCCESS", "FAILED_EVALUATION", "FAILED_EVALUATION"]


def test_a_demo_that_could_show_nothing_has_failed(shell: Shell):
    assert shell("demo", "absent", MLOPS_ROOT=str(shell.folder)).code == 1


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
