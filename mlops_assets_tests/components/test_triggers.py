"""The sensor that gathers: its batch goes the way of every upload, and what it says is why."""

from collections.abc import Iterator

import dagster as dg
import pytest

from mlops_assets.components.model_line import line_definitions
from mlops_assets.components.triggers import trigger_sensor
from mlops_assets.core.line import Line
from mlops_assets.core.orchestration import LINE_TAG
from mlops_assets.wiring.environment import dagster_home
from mlops_assets_tests.components.conftest import Site
from mlops_assets_tests.components.test_sensors import Eye
from mlops_assets_tests.lifecycle.used import eager, use


@pytest.fixture
def instance(site: Site) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(dagster_home(site.platform.home))) as made:
        yield made


def said(site: Site, line: Line, instance: dg.DagsterInstance) -> str:
    """Let the sensor look once; return what it says."""
    context = dg.build_sensor_context(instance=instance, resources={"platform": site.platform})
    seen = trigger_sensor(line)(context)
    assert isinstance(seen, dg.SkipReason)
    return seen.skip_message or ""


def test_it_gathers_once_and_the_inbox_launches_the_batch(site: Site, instance: dg.DagsterInstance) -> None:
    line = eager(site.line)
    assert said(site, line, instance).startswith("No training of topics should start. 0 new examples;")
    use(site.platform, line, items=30)
    first = said(site, line, instance)
    (batch,) = site.platform.batches.list(line.line)
    assert first.startswith(f"Batch {batch.batch_id} was made; topics_inbox launches it. A training of topics should")
    assert f"Batch {batch.batch_id} of events is still under way (RECEIVED)." in said(site, line, instance)
    eyes = [Eye(site, "inbox", instance) for _ in range(2)]
    assert [request.partition_key for eye in eyes for request in eye.look()] == [batch.batch_id]


def test_every_sensor_of_a_line_is_known_by_its_tag(site: Site) -> None:

    sensors = line_definitions(site.line).sensors or ()
    named = {each.name for each in sensors if isinstance(each, dg.SensorDefinition) and each.tags.get(LINE_TAG)}
    assert {f"topics_{name}" for name in ("inbox", "improve", "failure", "trigger")} <= named
