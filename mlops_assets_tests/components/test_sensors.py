"""The sensors against a real instance: what they launch, once, and what they leave alone."""

import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.components.model_line import line_definitions
from mlops_assets.components.running import open_instance, run_batch
from mlops_assets.core.orchestration import LINE_TAG, chain_job
from mlops_assets.core.records.outcome import Quarantined
from mlops_assets.lifecycle.deployment.rollout import deploy, rollback
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets.wiring.environment import dagster_home
from mlops_assets.wiring.platform import inbox_folder
from mlops_assets_tests.components.conftest import Site
from mlops_assets_tests.lines import good_batch


@pytest.fixture
def instance(site: Site) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(dagster_home(site.platform.home))) as made:
        yield made


class Eye:
    """One sensor of the line, with a cursor of its own, as one daemon has it."""

    def __init__(self, site: Site, name: str, instance: dg.DagsterInstance) -> None:
        self._site = site
        self._instance = instance
        resources = dg.Definitions(resources={"platform": site.platform})
        self._definitions = dg.Definitions.merge(line_definitions(site.line), resources)
        self._sensor = self._definitions.resolve_sensor_def(f"{site.line.line}_{name}")
        self._cursor: str | None = None
        self.said = ""

    def look(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(
            instance=self._instance,
            cursor=self._cursor,
            definitions=self._definitions,
            resources={"platform": self._site.platform},
        )
        seen = self._sensor(context)
        if isinstance(seen, dg.SkipReason):
            self.said = seen.skip_message or ""
        if not isinstance(seen, dg.SensorResult):
            return []
        self._cursor = seen.cursor
        for request in seen.dynamic_partitions_requests or ():
            self._instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return list(seen.run_requests or ())


def upload(site: Site, name: str, *, seed: int = 1) -> Path:
    folder = good_batch(site.folder / f"made{seed}", seed=seed)
    target = inbox_folder(site.platform, site.line) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(folder / "texts.jsonl", "texts.jsonl")
    return target


def test_an_upload_that_stands_still_is_launched_once(site: Site, instance: dg.DagsterInstance) -> None:
    upload(site, "monday.zip")
    eye = Eye(site, "inbox", instance)
    assert eye.look() == []
    requests = eye.look()
    batch = site.platform.batches.list(site.line.line)[0]
    assert [request.partition_key for request in requests] == [batch.batch_id]
    assert batch.source == "inbox"
    assert instance.has_dynamic_partition(site.line.line, batch.batch_id)
    assert eye.look() == []


def test_two_daemons_launch_one_run(site: Site, instance: dg.DagsterInstance) -> None:
    upload(site, "monday.zip")
    eyes = [Eye(site, "inbox", instance) for _ in range(2)]
    for eye in eyes:
        eye.look()
    assert sum(len(eye.look()) for eye in eyes) == 1
    assert len(site.platform.batches.list(site.line.line)) == 1


def test_the_same_bytes_twice_are_one_batch(site: Site, instance: dg.DagsterInstance) -> None:
    first = upload(site, "monday.zip")
    (first.parent / "again.zip").write_bytes(first.read_bytes())
    eye = Eye(site, "inbox", instance)
    eye.look()
    assert len(eye.look()) == 1


def test_a_new_home_holds_back_the_second_run_of_a_line_from_the_start(site: Site) -> None:
    with open_instance(site.platform) as opened:
        limits = {pool.name: pool.limit for pool in opened.event_log_storage.get_pool_limits()}
    assert limits[site.line.line] == 1


def test_unfinished_files_are_left_alone(site: Site, instance: dg.DagsterInstance) -> None:
    upload(site, "monday.zip.part")
    upload(site, ".hidden.zip")
    eye = Eye(site, "inbox", instance)
    assert eye.look() == []
    assert eye.look() == []


def test_a_refused_upload_is_set_aside_once_and_stops_nothing(site: Site, instance: dg.DagsterInstance) -> None:
    bad = upload(site, "model.zip")
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr("model.pkl", pickle.dumps({"weights": [1]}))
    sent = bad.read_bytes()
    eyes = [Eye(site, "inbox", instance) for _ in range(2)]
    for eye in (*eyes, *eyes):
        assert eye.look() == []
    assert not bad.exists()
    kept, why = sorted((bad.parent / "refused").iterdir())
    assert kept.read_bytes() == sent
    assert "pickle" in why.read_text()
    assert [entry.body["filename"] for entry in site.platform.ledger.entries(site.line.line, "refused")] == [bad.name]
    upload(site, "good.zip")
    assert eyes[0].look() == []
    assert len(eyes[0].look()) == 1


def test_validated_batches_are_carried_on_in_order_and_once(site: Site, instance: dg.DagsterInstance) -> None:
    upload(site, "a.zip", seed=1)
    upload(site, "b.zip", seed=2)
    eye = Eye(site, "inbox", instance)
    eye.look()
    assert len(eye.look()) == 2
    first, second = (batch.batch_id for batch in site.platform.batches.list(site.line.line))
    improve = [Eye(site, "improve", instance) for _ in range(2)]
    validate(site.platform, site.line, second)
    assert improve[0].look() == []  # the first is still to be checked
    validate(site.platform, site.line, first)
    requests = improve[0].look()
    assert [request.partition_key for request in requests] == [first]
    assert requests[0].asset_selection is not None
    assert requests[0].asset_selection[0].path[-1] == "candidate_model"
    assert improve[1].look() == []
    run_batch(site.platform, site.line, first)
    assert [request.partition_key for request in improve[1].look()] == [second]


def test_a_run_in_progress_is_waited_for(site: Site, instance: dg.DagsterInstance) -> None:
    batch_id = site.submit("good")
    validate(site.platform, site.line, batch_id)
    run = instance.create_run_for_job(
        line_job(site),
        tags={"dagster/partition": "other", LINE_TAG: site.line.line},
        status=dg.DagsterRunStatus.STARTED,
    )
    eye = Eye(site, "improve", instance)
    assert eye.look() == []
    instance.report_run_failed(run)
    assert len(eye.look()) == 1


def test_the_next_batch_waits_while_a_version_is_rolled_out_and_goes_on_after(
    site: Site, instance: dg.DagsterInstance
) -> None:
    batch_id = site.submit("good")
    run_batch(site.platform, site.line, batch_id, until="decision")
    base = site.platform.versions.get(site.line.line, 1)
    canary = site.platform.versions.add(
        site.line.line,
        servable=base.servable,
        model=base.model,
        batch_id=None,
        decision_id="by-hand",
        parent_version=1,
    )
    eye = Eye(site, "improve", instance)
    (first,) = eye.look()
    deploy(site.platform, site.line, canary.version, strategy="canary", actor="ann", reason="a try")
    assert eye.look() == []
    assert "being rolled out to 10% of users; the next batch waits" in eye.said
    result = line_job(site).execute_in_process(
        instance=instance, partition_key=batch_id, tags=first.tags, raise_on_error=False
    )
    assert not result.success
    skipped = failure_sensor(site)(failure_context(site, instance, result))
    assert isinstance(skipped, dg.SkipReason)
    assert "goes on when that has ended" in (skipped.skip_message or "")
    assert site.record(batch_id, "quarantine") is None
    rollback(site.platform, site.line, to=None, reason="no good", actor="ann")
    (again,) = eye.look()
    assert again.partition_key == batch_id
    assert again.run_key != first.run_key
    assert run_batch(site.platform, site.line, batch_id).success
    assert site.platform.versions.pointer(site.line.line).roles["production"] > canary.version


def line_job(site: Site) -> dg.JobDefinition:
    resources = dg.Definitions(resources={"platform": site.platform})
    return dg.Definitions.merge(line_definitions(site.line), resources).resolve_job_def(chain_job(site.line.line))


def test_a_failed_run_sets_its_batch_aside(site: Site, instance: dg.DagsterInstance) -> None:
    batch_id = site.submit("broken")
    instance.add_dynamic_partitions(site.line.line, [batch_id])
    result = line_job(site).execute_in_process(instance=instance, partition_key=batch_id, raise_on_error=False)
    assert not result.success
    request = failure_sensor(site)(failure_context(site, instance, result))
    assert isinstance(request, dg.RunRequest)
    assert [key.path[-1] for key in request.asset_selection or ()] == ["quarantine"]
    held = site.record(batch_id, "quarantine")
    assert isinstance(held, Quarantined)
    assert "dropped" in held.reason


def failure_context(
    site: Site, instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult
) -> dg.RunFailureSensorContext:
    return dg.build_run_status_sensor_context(
        sensor_name="topics_failure",
        dagster_event=result.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        resources={"platform": site.platform},
    ).for_run_failure()


def failure_sensor(site: Site) -> dg.SensorDefinition:
    resources = dg.Definitions(resources={"platform": site.platform})
    return dg.Definitions.merge(line_definitions(site.line), resources).resolve_sensor_def("topics_failure")
