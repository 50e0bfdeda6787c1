"""What a power loss or an absent server left undone is finished here, every half minute, and people are reminded."""

import dagster as dg

from mlops_assets.components import launches
from mlops_assets.components.workers import fail_lost_runs
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle import auditing
from mlops_assets.lifecycle.collection import collecting
from mlops_assets.lifecycle.deployment import release, retention
from mlops_assets.lifecycle.monitoring import watching
from mlops_assets.lifecycle.reminding import remind


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails runs whose process is gone, heals half-made releases, delivers alerts, replays MLflow calls, "
    "reminds people of their reviews and lets those expire that nobody answered, forgets events in time, retires "
    "versions that no policy keeps, and reads the ledger: all of it at first, then what is new.",
)
def upkeep(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SkipReason:
    """Do one round of upkeep; it launches nothing itself: a line's own sensor settles what has expired."""
    launches.limit(context.instance, platform)
    lost = fail_lost_runs(context.instance)
    release.reconcile(platform)
    for problem in auditing.report_broken_ledger(platform):
        context.log.error(f"{problem} {auditing.RESTORE}")
    told = remind(platform, platform.clock())
    forgotten = collecting.retention(platform, platform.clock()) + watching.forget(platform, platform.clock())
    kept = retention.retention(platform)
    alerts, calls = platform.alerts.deliver(), platform.tracker.reconcile()
    return dg.SkipReason(
        f"{lost} lost runs, {alerts} alerts and {calls} MLflow calls waiting, {len(told.reminded)} reminders, "
        f"{len(told.expired)} expired reviews, {forgotten} events and samples forgotten, "
        f"{kept.retired} versions retired, {kept.freed / 1e6:.1f} MB freed."
    )
