"""The sensors of a line: an upload becomes a batch, a validated batch becomes a candidate, a failed run is set aside.

What is launched is decided by the platform's records and claimed in its ledger, never by run keys alone: Dagster
compares those only within one sensor of one repository, so two daemons would launch a batch twice.
"""

import getpass
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg
from pydantic import JsonValue

from mlops_assets.components import launches
from mlops_assets.components.assets import CHAIN, IMPROVE, SETTLE
from mlops_assets.components.failures import failure, log_file
from mlops_assets.components.jobs import LineJobs
from mlops_assets.components.rollouts import watch_sensor
from mlops_assets.components.settling import judge_again, set_aside_failed
from mlops_assets.components.triggers import trigger_sensor
from mlops_assets.core.errors import PlatformError, Refused
from mlops_assets.core.line import Line
from mlops_assets.core.orchestration import LINE_TAG, PARTITION_TAG, STAGE_TAG
from mlops_assets.core.ports.intake import InboxSource, Upload
from mlops_assets.core.ports.mirrors import Alert
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import ValidatedData
from mlops_assets.core.records.decision import Decision
from mlops_assets.lifecycle.holding import ended
from mlops_assets.lifecycle.intake.ingest import ingest
from mlops_assets.wiring.platform import inbox_source

INBOX_SECONDS = 10
IMPROVE_SECONDS = 15


def line_sensors(line: Line, batches: dg.DynamicPartitionsDefinition, jobs: LineJobs) -> list[dg.SensorDefinition]:
    """Return the sensors of a line; all run from the start."""
    own = [_inbox(line, batches, jobs), _improve(line, jobs), _failure(line, jobs)]
    return [*own, trigger_sensor(line), watch_sensor(line)]


def _inbox(line: Line, batches: dg.DynamicPartitionsDefinition, jobs: LineJobs) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{line.line}_inbox",
        job=jobs.intake,
        minimum_interval_seconds=INBOX_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        tags={LINE_TAG: line.line},
        description=f"Turns complete uploads for {line.line} into batches and checks them.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SensorResult:
        state = take_uploads(platform, line, json.loads(context.cursor or "{}"), context.log)
        fresh = [
            batch.batch_id
            for batch in platform.batches.list(line.line)
            if platform.records.get(line.line, batch.batch_id, "validated_data") is None
            and platform.records.get(line.line, batch.batch_id, "quarantine") is None
            and launches.claim(platform, line, batch.batch_id, "intake", context.instance)
        ]
        return dg.SensorResult(
            run_requests=[_request(line, batch_id, "intake") for batch_id in fresh],
            dynamic_partitions_requests=[batches.build_add_request(fresh)] if fresh else [],
            cursor=json.dumps(state),
        )

    return sensor


def take_uploads(
    platform: Platform, line: Line, state: Mapping[str, JsonValue], log: logging.Logger
) -> dict[str, JsonValue]:
    """Ingest every upload that is complete and new; one that cannot be read is offered again at the next look.

    One that is refused is set aside with the reason, the ledger and the team are told, and it is not offered again.
    """
    inbox = inbox_source(platform, line)
    scan = inbox.scan(state)
    after = dict(scan.state)
    for upload in scan.ready:
        try:
            batch, duplicate = ingest(
                platform, line, Path(upload.path), contributor=_owner(Path(upload.path)), source="inbox"
            )
        except Refused as refused:
            log.error(_refuse(platform, line, inbox, upload, refused))
        except (PlatformError, OSError) as error:
            log.warning(f"{upload.name} is left where it is: {error}")
            del after[upload.name]
        else:
            log.info(f"{upload.name} is batch {batch.batch_id}{' (its bytes were there already)' if duplicate else ''}")
    return after


def _refuse(platform: Platform, line: Line, inbox: InboxSource, upload: Upload, refused: Refused) -> str:
    """Tell everyone why an upload is no batch, and put it where it is in nobody's way; return what was said."""
    key = f"refused:{line.line}:{upload.name}:{upload.changed_ns}"
    text = f"{refused} The file was not taken in; it is in the inbox's folder for refused uploads."
    platform.alerts.send(
        Alert(key=key, title=f"{line.line}: the upload {upload.name} was refused", text=text, line=line.line)
    )
    platform.ledger.append(
        "refused",
        line.line,
        actor=_owner(Path(upload.path)),
        body={"filename": upload.name, "size_bytes": upload.size_bytes, "reason": str(refused)},
        key=key,
    )
    try:
        return f"{upload.name} was refused: {refused} It is now {inbox.set_aside(upload, str(refused))}."
    except OSError as error:
        return f"{upload.name} was refused: {refused} It is left where it is: {error}"


def _improve(line: Line, jobs: LineJobs) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{line.line}_improve",
        job=jobs.chain,
        minimum_interval_seconds=IMPROVE_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        tags={LINE_TAG: line.line},
        description=f"Carries the next validated batch of {line.line} further, one at a time, in order of arrival.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.SensorResult | dg.SkipReason:
        if launches.in_progress(context.instance, line):
            return dg.SkipReason(f"A run of {line.line} is in progress.")
        rollout = platform.versions.pointer(line.line).rollout
        if rollout is not None:
            return dg.SkipReason(
                f"Version {rollout.version} of {line.line} is being rolled out to {rollout.share:.0%} of users; the "
                "next batch waits until that is promoted or rolled back."
            )
        all_ended, step = next_step(platform, line, context.instance, after=int(context.cursor or 0))
        if step is None:
            return dg.SensorResult(
                skip_reason=f"No batch of {line.line} waits for its next step.", cursor=str(all_ended)
            )
        batch_id, stage, assets = step
        if not launches.claim(platform, line, batch_id, stage, context.instance):
            return dg.SkipReason(f"{stage} of {batch_id} was launched already.")
        return dg.SensorResult(run_requests=[_request(line, batch_id, stage, assets)], cursor=str(all_ended))

    return sensor


def next_step(
    platform: Platform, line: Line, instance: dg.DagsterInstance, after: int
) -> tuple[int, tuple[str, str, Sequence[str]] | None]:
    """Return the first batch, in order of arrival, that can be carried further: its id, stage and assets to make.

    None while a batch that came earlier is being checked: what a line learns must not depend on how fast that goes.
    The first value is a sequence number up to which all batches have ended; pass it as `after` the next time. A stage
    is launched once for each move of the line's pointer: what a rollout stopped goes on when it has ended.
    """
    revision = platform.versions.pointer(line.line).revision
    all_ended, gap = after, False
    for batch in platform.batches.list(line.line):
        if batch.sequence <= after:
            continue
        made = {asset: platform.records.get(line.line, batch.batch_id, asset) for asset in CHAIN[1:]}
        if made["quarantine"] or made["deployed_version"]:
            all_ended = all_ended if gap else batch.sequence
            continue
        gap = True
        decision, validated = made["decision"], made["validated_data"]
        if isinstance(decision, Decision):
            if not decision.pending:
                return all_ended, (batch.batch_id, f"settle-{decision.digest[:12]}-{revision}", SETTLE)
        elif isinstance(validated, ValidatedData):
            if validated.accepted:
                return all_ended, (batch.batch_id, f"improve-{revision}", IMPROVE)
        elif launches.awaits_intake(batch, line, instance, platform.clock()):
            return all_ended, None
    return all_ended, None


def _failure(line: Line, jobs: LineJobs) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name=f"{line.line}_failure",
        request_job=jobs.chain,
        default_status=dg.DefaultSensorStatus.RUNNING,
        tags={LINE_TAG: line.line},
        description=f"Sets a batch aside when a run of {line.line} fails, with its log, and tells the team.",
    )
    def sensor(
        context: dg.RunFailureSensorContext, platform: dg.ResourceParam[Platform]
    ) -> dg.RunRequest | dg.SkipReason:
        run = context.dagster_run
        batch_id = run.tags.get(PARTITION_TAG)
        if batch_id is None or not launches.of_line(run, line) or run.tags.get("dagster/will_retry") == "true":
            return dg.SkipReason(f"The run belongs to no batch of {line.line}, or is started again.")
        failed = failure(context.instance, run.run_id)
        if failed.stale and judge_again(platform, line, batch_id):
            return _request(line, batch_id, f"again-{run.run_id}", CHAIN[CHAIN.index("eval_report") :])
        if failed.kind == "Busy" and platform.versions.pointer(line.line).rollout is not None:
            return dg.SkipReason(f"{failed.message} Batch {batch_id} goes on when that has ended.")
        if failed.kind == "Busy":
            return _request(line, batch_id, f"again-{run.run_id}", _chosen(run))
        if failed.operators or ended(platform, line, batch_id):
            todo = f"Mend it, then re-execute run {run.run_id}, or: mlops run {line.line} {batch_id}"
            title = f"{line.line} {batch_id} stopped: {failed.kind}"
            platform.alerts.send(
                Alert(key=f"run:{run.run_id}", title=title, text=f"{failed.message}\n{todo}", line=line.line)
            )
            return dg.SkipReason(failed.message)
        with log_file(context.instance, run.run_id) as logs:
            set_aside_failed(platform, line, batch_id, failed, logs)
        return _request(line, batch_id, f"quarantine-{run.run_id}", ["quarantine"])

    return sensor


def _request(line: Line, batch_id: str, stage: str, assets: Sequence[str] | None = None) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{batch_id}:{stage}",
        partition_key=batch_id,
        tags={STAGE_TAG: stage, LINE_TAG: line.line},
        asset_selection=[dg.AssetKey([line.line, asset]) for asset in assets] if assets else None,
    )


def _chosen(run: dg.DagsterRun) -> Sequence[str]:
    """Return the assets that a run was to make, in order."""
    names = {key.path[-1] for key in run.asset_selection or ()}
    return [asset for asset in CHAIN if not names or asset in names]


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, FileNotFoundError):  # no such user; taken away meanwhile
        return getpass.getuser()
