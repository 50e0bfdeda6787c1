"""The tables of a line, and the notebook that shows how to read them."""

import json
from pathlib import Path

import pytest

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.lifecycle import frames
from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "explore.ipynb"


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> tuple[Platform, Line]:
    """A line with a released batch and one that is too small."""
    platform, line = open_light_line(tmp_path_factory.mktemp("frames"))
    run(platform, line, submit(platform, line, "good"))
    run(platform, line, submit(platform, line, "small"))
    return platform, line


def test_metrics_are_sums_of_the_scores(lived_in: tuple[Platform, Line]):
    platform, line = lived_in
    scores, metrics = frames.scores(platform, line), frames.metrics(platform, line)
    sums = scores.groupby(["batch_id", "set_name", "metric", "system"])[["numerator", "weight"]].sum()
    ratios = sums["numerator"] / sums["weight"]
    wholes = metrics[metrics["slice"].isna()]
    assert len(wholes) == 2 * 2 * 2 + 2
    for _, row in wholes.iterrows():
        place = (row["batch_id"], row["set_name"], row["metric"])
        assert ratios[(*place, "candidate")] == pytest.approx(row["candidate"])
        assert ratios[(*place, "production")] == pytest.approx(row["production"])


def test_every_table_is_about_the_same_batches(lived_in: tuple[Platform, Line]):
    platform, line = lived_in
    batches = frames.batches(platform, line)
    items = frames.items(platform, line)
    assert list(batches["status"]) == ["DEPLOYED", "PENDING_REVIEW"]
    assert dict(items.groupby("batch_id").size()) == dict(zip(batches["batch_id"], batches["kept"], strict=True))
    assert set(items["origin"]) == {"synthetic"}
    for table in (frames.curves, frames.costs, frames.metrics):
        assert set(table(platform, line)["batch_id"]) == set(batches["batch_id"])
    report = platform.records.get(line.line, batches["batch_id"][0], "eval_report")
    assert isinstance(report, EvalReport)
    assert set(frames.costs(platform, line)["system"]) == set(report.systems)
    assert list(frames.versions(platform, line)["version"]) == [1, 2]


def test_a_line_without_batches_has_empty_tables(tmp_path: Path):
    platform, line = open_light_line(tmp_path)
    for table in (frames.batches, frames.items, frames.findings, frames.metrics, frames.scores, frames.curves,
                  frames.costs, frames.versions):  # fmt: skip
        assert table(platform, line).empty


def test_the_notebook_runs_on_any_home(lived_in: tuple[Platform, Line], monkeypatch: pytest.MonkeyPatch):
    platform, line = lived_in
    declare(platform.root / "lines", line)
    for name, value in {"MLOPS_HOME": platform.home, "MLOPS_LINES": platform.root / "lines", "LINE": line.line}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    names: dict[str, object] = {}
    for cell in cells:
        exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), names)
    assert len(names["answers"]) == 60  # pyright: ignore[reportArgumentType]
