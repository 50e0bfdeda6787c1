"""What Dagster shows of a release that is not done yet: strategy, share, status, and the bytes that serve."""

from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.cli.batches import exit_code
from mlops_assets.cli.output import Exit
from mlops_assets.components.running import open_instance
from mlops_assets.core.line import Release
from mlops_assets.lifecycle.status import show
from mlops_assets.wiring.platform import open_platform
from mlops_assets_tests.components.conftest import Site, declare, make_site


@pytest.fixture
def site(tmp_path: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = make_site(tmp_path, fresh_home, monkeypatch)
    line = made.line.model_copy(update={"release": Release(deployment_strategy="canary")})
    declare(tmp_path / "lines", line)
    return Site(open_platform(), line, tmp_path)


def test_a_canary_is_shown_as_one_and_its_bytes_are_checked(site: Site) -> None:
    batch_id = site.submit("good")
    assert site.run(batch_id).success
    assert exit_code(show(site.platform, site.line, batch_id)) == Exit.NOT_DEPLOYED
    key = dg.AssetKey([site.line.line, "deployed_version"])
    with open_instance(site.platform) as instance:
        (made,) = instance.fetch_materializations(key, limit=5).records
        check = dg.AssetCheckKey(key, "serves_the_judged_bytes")
        (checked,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=5)
    shown = made.asset_materialization
    assert shown is not None
    said = {name: value.value for name, value in shown.metadata.items()}
    assert (said["strategy"], said["share of users"], said["status"]) == ("canary", "10%", "CANARY")
    assert checked.event is not None
    event = checked.event.dagster_event
    assert event is not None
    evaluation = event.asset_check_evaluation_data
    assert evaluation.passed
    assert (evaluation.metadata["as"].value, evaluation.metadata["share of users"].value) == ("canary", "10%")
