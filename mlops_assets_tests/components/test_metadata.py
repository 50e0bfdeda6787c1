"""What assets show beside their numbers: the page of their line, written anew and linked."""

from pathlib import Path

import dagster as dg

from mlops_assets.components.metadata import describe
from mlops_assets.core.records.base import AssetRecord
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit


def test_assets_link_the_page_of_their_line(tmp_path: Path):
    platform, line = open_light_line(tmp_path)
    batch = submit(platform, line, "good")
    run(platform, line, batch)
    for asset in ("eval_report", "deployed_version"):
        record = platform.records.get(line.line, batch, asset)
        assert isinstance(record, AssetRecord)
        link = describe(record, platform, line)["line report"]
        assert isinstance(link, dg.PathMetadataValue)
        assert batch in Path(str(link.value)).read_text()


def test_a_page_that_cannot_be_written_is_said_and_fails_nothing(tmp_path: Path):
    platform, line = open_light_line(tmp_path)
    batch = submit(platform, line, "good")
    run(platform, line, batch)
    (platform.home / "reports").write_text("in the way")
    record = platform.records.get(line.line, batch, "deployed_version")
    assert isinstance(record, AssetRecord)
    assert "could not be written" in str(describe(record, platform, line)["line report"])
