"""Whole batches through Dagster, in this process, with the dependency-free family and real worker processes."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.components.running import continue_batch, run_batch
from mlops_assets.core.errors import UsageError
from mlops_assets.core.records.decision import Decision, ReviewAnswer
from mlops_assets.core.records.outcome import DeployedVersion, Quarantined
from mlops_assets.lifecycle import status
from mlops_assets.lifecycle.decide import answer
from mlops_assets.wiring.environment import dagster_home
from mlops_assets_tests.components.conftest import Site, make_site

YES = ReviewAnswer(approve=True, reviewer="grace", reason="Looked at it.", answered_at="2026-01-01T00:00:00Z")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, fresh_home: Path) -> Iterator[tuple[Site, dict[str, str]]]:
    """A line that has seen one batch of each kind, one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        site = make_site(tmp_path_factory.mktemp("site"), fresh_home, patch)
        batches = {}
        for kind in ("good", "wrong", "broken", "small"):
            batches[kind] = site.submit(kind)
            assert site.run(batches[kind]).success
        yield site, batches


def instance(site: Site) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_config(str(dagster_home(site.platform.home)))


def materialized(site: Site, batch_id: str) -> set[str]:
    with instance(site) as dagster:
        return {
            asset
            for asset in ("raw_batch", "validated_data", "candidate_model", "eval_report", "decision", *ENDS)
            if batch_id in dagster.get_materialized_partitions(dg.AssetKey([site.line.line, asset]))
        }


ENDS = ("deployed_version", "quarantine")
JUDGED = {"raw_batch", "validated_data", "candidate_model", "eval_report", "decision"}


def test_a_good_batch_is_deployed_and_serves_what_was_judged(ran: tuple[Site, dict[str, str]]) -> None:
    site, batches = ran
    deployed = site.record(batches["good"], "deployed_version")
    assert isinstance(deployed, DeployedVersion)
    assert materialized(site, batches["good"]) == JUDGED | {"deployed_version"}
    live = site.platform.serving.live(site.line.line)
    assert live is not None
    assert live.production.servable == deployed.servable


def test_a_wrong_batch_is_rejected_and_set_aside(ran: tuple[Site, dict[str, str]]) -> None:
    site, batches = ran
    assert materialized(site, batches["wrong"]) == JUDGED | {"quarantine"}
    held = site.record(batches["wrong"], "quarantine")
    assert isinstance(held, Quarantined)
    assert held.deployment_status == "FAILED_EVALUATION"


def test_broken_data_fails_its_run_and_is_set_aside_with_the_log(ran: tuple[Site, dict[str, str]]) -> None:
    site, batches = ran
    assert materialized(site, batches["broken"]) == {"raw_batch", "validated_data", "quarantine"}
    held = site.record(batches["broken"], "quarantine")
    assert isinstance(held, Quarantined)
    bundle = site.platform.home / held.path
    assert any("dagster-run" in path.name for path in bundle.rglob("*"))


def test_a_small_batch_waits_for_a_person_and_goes_on_after_the_answer(ran: tuple[Site, dict[str, str]]) -> None:
    site, batches = ran
    decision = site.record(batches["small"], "decision")
    assert isinstance(decision, Decision)
    assert decision.pending
    assert materialized(site, batches["small"]) == JUDGED
    answer(site.platform, decision.decision_id, YES)
    outcome = continue_batch(site.platform, site.line, batches["small"])
    assert outcome.success
    assert len(outcome.run_ids) == 1
    assert isinstance(site.record(batches["small"], "deployed_version"), DeployedVersion)


def test_the_ledger_knows_the_runs_of_a_batch(ran: tuple[Site, dict[str, str]]) -> None:
    site, batches = ran
    runs = [
        entry for entry in site.platform.ledger.entries(site.line.line, "run") if entry.batch_id == batches["broken"]
    ]
    assert len(runs) == 2
    with instance(site) as dagster:
        assert all(dagster.has_run(str(entry.body["run_id"])) for entry in runs)


def test_what_a_person_asks_about_a_batch_names_its_runs(ran: tuple[Site, dict[str, str]]) -> None:
    site, batches = ran
    shown = status.show(site.platform, site.line, batches["wrong"])["dagster_run_ids"]
    with instance(site) as dagster:
        assert shown == [
            run.run_id for run in dagster.get_runs(dg.RunsFilter(tags={"dagster/partition": batches["wrong"]}))
        ]


def test_a_wrong_configuration_blames_no_batch(site: Site) -> None:
    batch_id = site.submit("good")
    wrong = site.line.model_copy(update={"config": {"smothing": 1}})
    outcome = run_batch(site.platform, wrong, batch_id)
    assert not outcome.success
    assert "config.smothing" in (outcome.error or "")
    assert site.record(batch_id, "quarantine") is None


def test_people_see_tables_and_pictures(ran: tuple[Site, dict[str, str]]) -> None:
    site, batches = ran

    def shown(asset: str, batch: str) -> dict[str, object]:
        with instance(site) as dagster:
            key = dg.AssetKey([site.line.line, asset])
            records = dagster.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=key, asset_partitions=[batches[batch]]), limit=1
            ).records
            made = records[0].asset_materialization
            assert made is not None
            return {name: value.value for name, value in made.metadata.items()}

    assert "discards by reason" in shown("validated_data", "broken")
    assert str(shown("candidate_model", "good")["learning curve"]).startswith("![](data:image/png;base64,")
    report = shown("eval_report", "good")
    assert {"metrics", "intervals", "accuracy candidate", "accuracy production", "report"} <= set(report)
    assert shown("decision", "wrong")["verdict"] == "REJECT"
    assert shown("quarantine", "wrong")["reason"]


def test_what_is_made_is_found_again(ran: tuple[Site, dict[str, str]]) -> None:
    site, batches = ran
    before = [site.platform.records.history(site.line.line, batches["good"], asset) for asset in JUDGED]
    versions = site.platform.versions.list(site.line.line)
    assert site.run(batches["good"]).success
    assert [site.platform.records.history(site.line.line, batches["good"], asset) for asset in JUDGED] == before
    assert site.platform.versions.list(site.line.line) == versions


def test_the_same_upload_twice_is_one_batch(ran: tuple[Site, dict[str, str]]) -> None:
    site, batches = ran
    assert site.submit("good") == batches["good"]


def test_a_run_may_stop_after_an_asset(site: Site) -> None:
    batch_id = site.submit("good")
    outcome = run_batch(site.platform, site.line, batch_id, until="validated_data")
    assert outcome.success
    assert materialized(site, batch_id) == {"raw_batch", "validated_data"}
    with pytest.raises(UsageError, match="validated_date"):
        run_batch(site.platform, site.line, batch_id, until="validated_date")


def test_a_task_that_ends_without_a_result_sets_its_batch_aside(site: Site, tmp_path: Path) -> None:
    batch_id = site.submit("good")
    impossible = site.line.limits.model_copy(update={"minutes": 1e-5})
    line = site.line.model_copy(update={"limits": impossible})
    outcome = run_batch(site.platform, line, batch_id)
    assert outcome.success
    held = site.record(batch_id, "quarantine")
    assert isinstance(held, Quarantined)
    assert held.reason_code == "TASK_FAILED"
    assert "out of time" in held.reason
    assert held.deployment_status == "ERROR"
