"""A run that Dagster starts too early gives its forerunners their turn."""

from pathlib import Path

import pytest

from mlops_assets.components.order import catch_up
from mlops_assets.core.errors import Busy
from mlops_assets.core.records.outcome import Quarantined
from mlops_assets.lifecycle.intake.ingest import ingest
from mlops_assets_tests.components.conftest import Site
from mlops_assets_tests.lines import good_batch


def submit(site: Site, seed: int) -> str:
    folder = good_batch(site.folder / f"made{seed}", seed=seed)
    return ingest(site.platform, site.line, folder, contributor="ada", source="cli")[0].batch_id


def test_forerunners_are_carried_to_their_end_in_order_of_arrival(site: Site) -> None:
    good, broken, last = submit(site, 1), site.submit("broken"), submit(site, 2)
    assert catch_up(site.platform, site.line, last) == [good, broken]
    assert [version.batch_id for version in site.platform.versions.list(site.line.line)] == [None, good]
    assert isinstance(site.record(broken, "quarantine"), Quarantined)
    assert site.record(last, "validated_data") is None
    assert catch_up(site.platform, site.line, last) == []


def test_a_forerunner_that_fails_is_not_blamed_on_its_follower(site: Site, tmp_path: Path) -> None:
    first, second = submit(site, 1), submit(site, 2)
    line = site.line.model_copy(update={"config": {"smothing": 1}})
    with pytest.raises(Busy, match=first):
        catch_up(site.platform, line, second)
