"""Upkeep: what a crash, a power loss or an absent server left undone is finished here, every half minute."""

import dagster as dg

from mlops_assets.components import launches
from mlops_assets.components.workers import fail_lost_runs
from mlops_assets.core.ports import Platform
from mlops_assets.lifecycle import release


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails runs whose process is gone, heals half-made releases, delivers alerts, replays MLflow calls.",
)
def upkeep(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SkipReason:
    """Do one round of upkeep; it launches nothing itself."""
    launches.limit(context.instance, platform)
    lost = fail_lost_runs(context.instance)
    release.reconcile(platform)
    return dg.SkipReason(
        f"{lost} lost runs, {platform.alerts.deliver()} alerts and {platform.tracker.reconcile()} MLflow calls waiting."
    )
