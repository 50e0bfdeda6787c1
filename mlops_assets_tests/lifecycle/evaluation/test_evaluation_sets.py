import shutil
from pathlib import Path

import pytest

from mlops_assets.core.dataset import read_items
from mlops_assets.core.errors import ConfigError
from mlops_assets.core.line import EvaluationSet, Line, Suite
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.evaluation.evaluation_sets import evaluation_sets
from mlops_assets_tests.lines import GOLDEN_ITEMS, GOLDEN_USERS, baseline_line, texts, write_rows


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return baseline_line(tmp_path)


def checks(platform: Platform, line: Line) -> int:
    """Return how often the golden set was really checked."""
    progress = platform.home / "progress" / line.line / "set-golden.jsonl"
    return progress.read_text().count("\n") if progress.exists() else 0


def test_the_golden_set_and_the_suites_are_datasets(platform: Platform, line: Line) -> None:
    golden, critical = evaluation_sets(platform, line)
    assert (golden.name, golden.kind, golden.origin) == ("golden", "golden", "synthetic")
    assert (critical.name, critical.kind) == ("critical", "critical")
    items = read_items(platform.store.folder(golden.dataset))
    assert len(items) == GOLDEN_ITEMS
    assert len({item.cluster for item in items}) == GOLDEN_USERS


def test_a_set_is_checked_once_until_it_or_its_checker_changes(platform: Platform, line: Line) -> None:
    first = evaluation_sets(platform, line)
    assert evaluation_sets(platform, line) == first
    assert checks(platform, line) == 1
    stricter = line.model_copy(update={"config": {**line.config, "smoothing": 0.2}})
    assert evaluation_sets(platform, stricter) == first
    assert checks(platform, line) == 2
    write_rows(Path(line.golden.path) / "texts.jsonl", texts(103, 60))
    assert evaluation_sets(platform, line) != first
    assert checks(platform, line) == 3


def test_a_set_whose_stored_bytes_are_gone_is_made_again(platform: Platform, line: Line) -> None:
    first = evaluation_sets(platform, line)
    shutil.rmtree(platform.home / "artifacts")
    assert evaluation_sets(platform, line) == first
    assert checks(platform, line) == 2
    assert platform.store.has(first[0].dataset)


def test_a_missing_set_is_left_out_only_if_it_is_optional(platform: Platform, line: Line) -> None:
    absent = Suite(name="edge", type="edge", path="nowhere", origin="real", optional=True)
    with_optional = line.model_copy(update={"suites": (absent,)})
    assert [each.name for each in evaluation_sets(platform, with_optional)] == ["golden"]
    required = line.model_copy(update={"suites": (absent.model_copy(update={"optional": False}),)})
    with pytest.raises(ConfigError, match=r"'edge'.*nowhere"):
        evaluation_sets(platform, required)


def test_an_item_that_would_be_dropped_is_an_error_that_lists_it(platform: Platform, line: Line) -> None:
    write_rows(Path(line.golden.path) / "more.jsonl", [{"text": "boil an egg", "label": "cookery"}])
    with pytest.raises(ConfigError, match=r"BAS011 unknown label \(boil an egg\)"):
        evaluation_sets(platform, line)


def test_an_empty_set_and_a_wrong_origin_are_errors(platform: Platform, line: Line, tmp_path: Path) -> None:
    real = line.model_copy(update={"golden": line.golden.model_copy(update={"origin": "real"})})
    with pytest.raises(ConfigError, match="synthetic"):
        evaluation_sets(platform, real)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "texts.jsonl").touch()
    empty = line.model_copy(update={"golden": EvaluationSet(path=str(tmp_path / "empty"), origin="real")})
    with pytest.raises(ConfigError, match="empty"):
        evaluation_sets(platform, empty)


@pytest.mark.parametrize("names", [("golden",), ("holdout",), ("../up",), ("Upper",), ("a", "a")])
def test_suites_have_names_that_can_be_told_apart(platform: Platform, line: Line, names: tuple[str, ...]) -> None:
    suites = tuple(line.suites[0].model_copy(update={"name": name}) for name in names)
    with pytest.raises(ConfigError, match="cannot be named"):
        evaluation_sets(platform, line.model_copy(update={"suites": suites}))


def test_a_set_that_cannot_be_checked_is_the_lines_fault(platform: Platform, line: Line) -> None:
    with pytest.raises(ConfigError, match="could not be checked"):
        evaluation_sets(platform, line.model_copy(update={"config": {"unknown": 1}}))
