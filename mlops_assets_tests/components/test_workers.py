"""Runs whose process is gone: told from those that work, whatever a power loss left behind."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import dagster as dg
import psutil
import pytest
from dagster import DagsterRunStatus

from mlops_assets.components.model_line import line_definitions
from mlops_assets.components.running import open_instance
from mlops_assets.components.workers import WORKER_TAG, fail_lost_runs, worker_name
from mlops_assets.core.orchestration import chain_job
from mlops_assets_tests.components.conftest import Site


@pytest.fixture
def instance(site: Site) -> Iterator[dg.DagsterInstance]:
    with open_instance(site.platform) as opened:
        yield opened


def started(site: Site, instance: dg.DagsterInstance, worker: str, signed_for: str | None = None) -> str:
    """Make a started run that a process signed, for itself or for the run that it was started again from."""
    resources = dg.Definitions(resources={"platform": site.platform})
    job = dg.Definitions.merge(line_definitions(site.line), resources).resolve_job_def(chain_job(site.line.line))
    run_id = str(uuid.uuid4())
    tags = {WORKER_TAG: f"{signed_for or run_id}@{worker}"}
    instance.create_run_for_job(job, run_id=run_id, tags=tags, status=DagsterRunStatus.STARTED)
    return run_id


def dead() -> str:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = worker_name(psutil.Process(child.pid))
    child.communicate()
    return name


def test_a_run_is_failed_when_its_process_is_gone(site: Site, instance: dg.DagsterInstance) -> None:
    lost = started(site, instance, dead())
    working = started(site, instance, worker_name(psutil.Process()))
    assert fail_lost_runs(instance) == 1
    ends = {run.run_id: run.status for run in instance.get_runs()}
    assert ends == {lost: DagsterRunStatus.FAILURE, working: DagsterRunStatus.STARTED}
    assert fail_lost_runs(instance) == 0


def test_a_run_started_again_is_not_blamed_for_the_death_of_the_first(site: Site, instance: dg.DagsterInstance) -> None:
    started(site, instance, dead(), signed_for=str(uuid.uuid4()))
    assert fail_lost_runs(instance) == 0


def test_processes_that_open_a_new_home_at_once_all_get_it(site: Site) -> None:
    code = (
        "from mlops_assets.components.running import open_instance\n"
        "from mlops_assets.wiring.platform import open_platform\n"
        "open_instance(open_platform()).dispose()"
    )
    environment = os.environ | {"MLOPS_HOME": str(site.folder / "new home")}
    openers = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], env=environment) for _ in range(3)]
    assert [opener.wait() for opener in openers] == [0, 0, 0]
