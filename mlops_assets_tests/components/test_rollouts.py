"""A rollout in Dagster: the sensor looks, acts, and writes down what was seen, with its chart."""

import dagster as dg
import pytest

from mlops_assets.components.model_line import line_definitions
from mlops_assets.core.line import Release
from mlops_assets.lifecycle.deployment.rollout import deploy
from mlops_assets_tests.components.conftest import Site
from mlops_assets_tests.lifecycle.released import version
from mlops_assets_tests.lifecycle.traffic import Harm, Traffic


@pytest.fixture
def rolling(site: Site) -> Site:
    release = Release(deployment_strategy="canary", step_requests=100_000)
    line = site.line.model_copy(update={"release": release})
    for _ in range(2):
        version(site.platform, line)
    deploy(site.platform, line, 1, strategy="replace", actor="ann", reason="first")
    Traffic(site.platform, line).send(600)
    return Site(site.platform, line, site.folder)


def test_the_sensor_writes_a_rollout_down_with_its_chart_until_it_is_taken_back(rolling: Site) -> None:
    platform, line = rolling.platform, rolling.line
    definitions = dg.Definitions.merge(line_definitions(line), dg.Definitions(resources={"platform": platform}))
    sensor = definitions.resolve_sensor_def("topics_watch")

    def tick(cursor: str | None) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(cursor=cursor, definitions=definitions, resources={"platform": platform})
        made = sensor(context)
        assert isinstance(made, dg.SensorResult | dg.SkipReason)
        return made

    assert isinstance(tick(None), dg.SkipReason), "nothing is being rolled out"
    deploy(platform, line, 2, actor="ann", reason="a try")
    traffic = Traffic(platform, line)
    traffic.send(400)
    first = tick(None)
    assert isinstance(first, dg.SensorResult)
    (event,) = first.asset_events
    assert event.asset_key == dg.AssetKey(["topics", "rollout"])
    assert event.metadata["verdict"].value == "INCONCLUSIVE"
    assert event.metadata["share"].value == 0.1
    assert str(event.metadata["chart"].value).startswith("![")
    assert isinstance(tick(first.cursor), dg.SkipReason), "nothing moved"
    traffic.harm[2] = Harm(errors=0.5)
    traffic.send(600)
    tick(first.cursor)
    ended = tick(first.cursor)
    assert isinstance(ended, dg.SensorResult)
    (event,) = ended.asset_events
    assert event.metadata["ended"].value == "rolled back"
    assert "errors" in str(event.metadata["reasons"].value)
    assert platform.versions.pointer(line.line).rollout is None
