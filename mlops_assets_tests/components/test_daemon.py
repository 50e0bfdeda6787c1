"""Dropping a zip into the inbox of a platform that runs: a real daemon, real runs, real worker processes."""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from mlops_assets.lifecycle import status
from mlops_assets.wiring.environment import process_environment
from mlops_assets.wiring.platform import inbox_folder
from mlops_assets_tests.components.conftest import Site
from mlops_assets_tests.lines import good_batch

PATIENCE_SECONDS = 240


@pytest.mark.slow
def test_a_zip_in_the_inbox_ends_in_production_by_itself(site: Site) -> None:
    environment = os.environ | process_environment()
    workspace = site.platform.root / "workspace.yaml"
    log = site.folder / "daemon.log"
    command = [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", str(workspace)]
    with log.open("wb") as output:
        daemon = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        _drop(site)
        ends = time.monotonic() + PATIENCE_SECONDS
        while _statuses(site) != ["DEPLOYED"]:
            assert daemon.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(1)
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)
    shown = status.show(site.platform, site.line, site.platform.batches.list(site.line.line)[0].batch_id)
    assert (shown["source"], shown["deployment_status"], len(shown["dagster_run_ids"])) == ("inbox", "SUCCESS", 2)


def _drop(site: Site) -> None:
    """Upload as people do: under another name, renamed when it is whole."""
    inbox = inbox_folder(site.platform, site.line)
    inbox.mkdir(parents=True)
    with zipfile.ZipFile(inbox / "monday.zip.part", "w") as archive:
        archive.write(good_batch(site.folder / "made") / "texts.jsonl", "texts.jsonl")
    (inbox / "monday.zip.part").rename(inbox / "monday.zip")


def _statuses(site: Site) -> list[str]:
    batches = site.platform.batches.list(site.line.line)
    return [status.status(site.platform, site.line, batch.batch_id) for batch in batches]
