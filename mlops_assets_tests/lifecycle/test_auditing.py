"""What was changed behind the platform's back is named with its place, and told once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.errors import Corrupt
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Evidence
from mlops_assets.lifecycle.auditing import disagreements, report_broken_ledger
from mlops_assets.lifecycle.decide import answer
from mlops_assets_tests.lifecycle.chain import YES, open_light_line, run, submit
from mlops_assets_tests.lifecycle.tampering import rewrite, tamper
from mlops_assets_tests.platform_fixture import copied


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line with a release, a rejection and a release that a person approved."""
    folder = tmp_path_factory.mktemp("audited")
    platform, line = open_light_line(folder)
    for kind in ("good", "wrong"):
        run(platform, line, submit(platform, line, kind))
    small = submit(platform, line, "small")
    answer(platform, run(platform, line, small).decision_id, YES)
    assert run(platform, line, small).verdict == "APPROVE"
    return folder


@pytest.fixture
def opened(template: Path, tmp_path: Path) -> tuple[Platform, Line]:
    copied(template, tmp_path / "site")
    return open_light_line(tmp_path / "site")


def test_an_honest_history_agrees(opened: tuple[Platform, Line]) -> None:
    platform, _ = opened
    assert disagreements(platform) == report_broken_ledger(platform) == []


def test_a_broken_ledger_is_told_once_with_its_place(
    opened: tuple[Platform, Line], caplog: pytest.LogCaptureFixture
) -> None:
    platform, _ = opened
    tamper(platform.home, "UPDATE ledger SET actor = 'eve' WHERE sequence = 2")
    [problem] = report_broken_ledger(platform)
    assert problem.startswith("Entry 2 (")
    assert report_broken_ledger(platform) == [problem]
    assert caplog.text.count("Entry 2 (") == 1
    [again] = report_broken_ledger(open_light_line(platform.root)[0])
    assert again == problem
    assert caplog.text.count("Entry 2 (") == 1


def _verdict(record: dict[str, Any]) -> None:
    record["verdict"] = "REJECT" if record["verdict"] == "APPROVE" else "APPROVE"


def _numbers(record: dict[str, Any]) -> None:
    record["evidence"]["kept"] += 1


def _numbers_and_digest(record: dict[str, Any]) -> None:
    _numbers(record)
    record["evidence_digest"] = Evidence.model_validate(record["evidence"]).digest


def _answered(record: dict[str, Any]) -> None:
    record["review"] = {"approve": True, "reviewer": "eve", "reason": "x", "answered_at": "2026-01-01T00:00:00+00:00"}


def _servable(record: dict[str, Any]) -> None:
    record["servable"] = "0" * 64


def _version(record: dict[str, Any]) -> None:
    record["version"] = 9


@pytest.mark.parametrize(
    ("asset", "change", "said"),
    [
        ("decision", _verdict, "differs from ledger entry"),
        ("decision", _numbers, "was changed: its evidence is"),
        ("decision", _numbers_and_digest, "differs from ledger entry"),
        ("decision", _answered, "has no entry in the ledger"),
        ("deployed_version", _servable, "differs from ledger entry"),
        ("deployed_version", _version, "version 9 of topics has no entry in the ledger"),
    ],
)
def test_a_record_that_the_ledger_does_not_bear_out_is_named(
    opened: tuple[Platform, Line], asset: str, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    platform, line = opened
    batch = platform.batches.list(line.line)[0].batch_id
    rewrite(platform.home, asset, batch, change)
    assert any(said in problem for problem in disagreements(platform)), disagreements(platform)
    assert all(batch in problem or "version" in problem for problem in disagreements(platform))


@pytest.mark.parametrize("body", ["garbage", "{}", "[1]", "null", '{"verdict": "APPROVE"}'])
def test_what_cannot_be_read_any_more_is_named_too(opened: tuple[Platform, Line], body: str) -> None:
    platform, line = opened
    batch = platform.batches.list(line.line)[0].batch_id
    tamper(platform.home, "UPDATE records SET body = ? WHERE asset = 'decision' AND batch_id = ?", body, batch)
    assert any("decision record of batch" in problem for problem in disagreements(platform))
    with pytest.raises(Corrupt, match=batch):
        platform.records.get(line.line, batch, "decision")
    tamper(platform.home, "UPDATE ledger SET body = ? WHERE sequence = 2", body[:-1])
    assert disagreements(platform) == ["Entry 2 of the ledger cannot be read: it was changed after it was written."]
    with pytest.raises(Corrupt, match="Entry 2"):
        platform.ledger.entries()


def test_a_table_of_versions_that_was_changed_is_named(opened: tuple[Platform, Line]) -> None:
    platform, _ = opened
    tamper(platform.home, "UPDATE versions SET servable = ? WHERE version = 2", "0" * 64)
    assert any("differs from the table of versions" in problem for problem in disagreements(platform))
