"""What was copied before a rollout and recorded after it began says nothing of who answers now."""

from dataclasses import replace
from pathlib import Path

from mlops_assets.core.events import Prediction, new_event_id
from mlops_assets.core.line import Release
from mlops_assets.lifecycle.deployment.rollout import deploy, promote
from mlops_assets.lifecycle.monitoring.watching import look
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit
from mlops_assets_tests.lifecycle.monitoring.rolling import QUICK, kinds
from mlops_assets_tests.lifecycle.traffic import Traffic


def test_two_versions_change_places_and_copies_of_the_rollout_before_are_no_part_of_the_next(tmp_path: Path) -> None:
    platform, line = open_light_line(tmp_path)
    line = line.model_copy(update={"release": Release.model_validate({**QUICK, "step_requests": 100_000})})
    platform = replace(platform, lines=lambda: [line])
    run(platform, line, submit(platform, line, "good"))
    asked = Traffic(platform, line).send(100)
    look(platform, line, platform.clock())
    promote(platform, line, actor="ann", reason="as good as it was judged")
    deploy(platform, line, 1, actor="ann", reason="the old one again")
    late = [
        Prediction(event_id=new_event_id(), version=1, arm="shadow", latency_ms=9, success=True, of=of, agrees=False)
        for of in asked[:50]
    ]
    platform.events.append(line.line, late)
    assert look(platform, line, platform.clock()).did == ()
    Traffic(platform, line).send(100)
    assert look(platform, line, platform.clock()).did == ()
    assert kinds(platform, line)[-1] == "deployed"
