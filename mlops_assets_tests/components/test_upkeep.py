"""A question that nobody answers, through Dagster: upkeep rejects it, the line's own sensor sets its batch aside."""

from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.components.running import open_instance, run_batch
from mlops_assets.components.sensors import next_step
from mlops_assets.core.policy import Human
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.outcome import Quarantined
from mlops_assets.defs.automation.upkeep import upkeep
from mlops_assets.wiring.platform import open_platform
from mlops_assets_tests.components.conftest import Site, declare, make_site
from mlops_assets_tests.lifecycle.tampering import tamper

AT_ONCE = Human(expire_hours=1e-6)


@pytest.fixture
def site(tmp_path: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = make_site(tmp_path, fresh_home, monkeypatch)
    policy = made.line.policy.model_copy(update={"human": AT_ONCE})
    line = made.line.model_copy(update={"policy": policy})
    declare(tmp_path / "lines", line)
    return Site(open_platform(), line, tmp_path)


def test_an_expired_review_is_rejected_by_upkeep_and_its_batch_is_set_aside(site: Site) -> None:
    batch_id = site.submit("small")
    assert site.run(batch_id).success
    waiting = site.record(batch_id, "decision")
    assert isinstance(waiting, Decision)
    assert waiting.pending
    with open_instance(site.platform) as instance:
        assert next_step(site.platform, site.line, instance, after=0)[1] is None
        context = dg.build_sensor_context(instance=instance, resources={"platform": site.platform})
        said = upkeep(context)
        assert isinstance(said, dg.SkipReason)
        assert "1 expired reviews" in (said.skip_message or "")
        again = upkeep(dg.build_sensor_context(instance=instance, resources={"platform": site.platform}))
        assert isinstance(again, dg.SkipReason)
        assert "0 expired reviews" in (again.skip_message or "")
        step = next_step(site.platform, site.line, instance, after=0)[1]
        assert step is not None
        assert step[0] == batch_id
    run_batch(site.platform, site.line, batch_id, start=step[2][0])
    held = site.record(batch_id, "quarantine")
    assert isinstance(held, Quarantined)
    assert held.reason_code == "REJECTED"
    assert held.reason.startswith("policy rejected it: Nobody answered within 1e-06 hours")
    assert waiting.analysis is not None
    assert waiting.analysis.paragraph in held.reason


def test_a_ledger_that_was_changed_is_told_when_upkeep_begins_and_nothing_is_released(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    batch_id = site.submit("good")
    run_batch(site.platform, site.line, batch_id, until="decision")
    tamper(site.platform.home, "UPDATE ledger SET actor = 'eve' WHERE sequence = 1")
    with open_instance(site.platform) as instance:
        upkeep(dg.build_sensor_context(instance=instance, resources={"platform": site.platform}))
    assert "Entry 1 (" in caplog.text
    outcome = run_batch(site.platform, site.line, batch_id)
    assert (outcome.success, outcome.kind) == (False, "Corrupt")
    assert "The ledger was changed: Entry 1 (" in (outcome.error or "")
    assert site.record(batch_id, "deployed_version") is None
    assert site.record(batch_id, "quarantine") is None
