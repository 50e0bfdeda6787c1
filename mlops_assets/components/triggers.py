"""The sensor that turns what production reported into a batch, and says at every look why, or why not."""

import dagster as dg

from mlops_assets.core.line import Line
from mlops_assets.core.orchestration import LINE_TAG
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.collection.triggering import trigger


def trigger_sensor(line: Line) -> dg.SensorDefinition:
    """Return the sensor of a line; it launches nothing itself, for its batch goes the way of every upload."""

    @dg.sensor(
        name=f"{line.line}_trigger",
        minimum_interval_seconds=line.triggers.check_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        tags={LINE_TAG: line.line},
        description=f"Makes a batch of what was reported of {line.line} when its triggers say so (`mlops why`).",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SkipReason:
        done = trigger(platform, line, platform.clock(), actor="sensor")
        if done.batch is None:
            return dg.SkipReason(done.why.sentence)
        context.log.info(done.why.sentence)
        return dg.SkipReason(
            f"Batch {done.batch.batch_id} was made; {line.line}_inbox launches it. {done.why.sentence}"
        )

    return sensor
