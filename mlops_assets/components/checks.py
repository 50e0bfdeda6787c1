"""Asset checks: what Dagster shows green or red of a record, read from the record and the policy alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import AssetRecord
from mlops_assets.core.records.data import ValidatedData
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.core.records.outcome import DeployedVersion
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle import status


@dataclass(frozen=True)
class Found:
    """The outcome of one check."""

    name: str
    passed: bool
    observed: object
    limit: object = None


DATA_GATES = ("VAL001", "VAL002", "VAL003")  # each is a check of its own; every other reason is a case of its own
LEAKED = "VAL010"
BLOCKING = {
    "enough_items": "The batch has items enough to be trained on",
    "quality": "The quality score reaches the line's least",
    "dropped_share": "Few enough items were dropped",
    "no_security_case": "Nothing in the batch tries to harm the platform, and nothing else forbids its use",
}
CHECKS: dict[str, dict[str, str]] = {
    "validated_data": BLOCKING | {"no_leak": "No item was, or nearly was, an item of a protected set"},
    "candidate_model": {"finite_loss": "The loss stayed finite to the end"},
    "eval_report": {
        "infra": "The exported candidate loads in a fresh process and answers through the gateway's code as scored",
        "production_evaluable": "The version in production was scored on the same sets",
    },
    "decision": {"gates": "Every hard gate holds"},
}


def specs(asset: str, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Return the checks of an asset; a failed blocking one stops the run."""
    return [
        dg.AssetCheckSpec(name, asset=key, blocking=name in BLOCKING, description=description)
        for name, description in CHECKS.get(asset, {}).items()
    ]


def results(line: Line, record: AssetRecord) -> list[dg.AssetCheckResult]:
    """Return the outcome of every check of the record's asset."""
    return [
        dg.AssetCheckResult(
            check_name=found.name,
            passed=found.passed,
            severity=dg.AssetCheckSeverity.ERROR if found.name in BLOCKING else dg.AssetCheckSeverity.WARN,
            metadata={"observed": str(found.observed)} | ({} if found.limit is None else {"limit": str(found.limit)}),
        )
        for found in _found(line, record)
    ]


def _found(line: Line, record: AssetRecord) -> Iterator[Found]:
    match record:
        case ValidatedData():
            yield from _validated(line, record)
        case CandidateModel():
            losses = [point.loss for point in record.curve]
            yield Found("finite_loss", bool(losses) and losses[-1] is not None, losses[-1] if losses else "no curve")
        case EvalReport():
            yield Found("infra", record.infra_ok, record.infra_detail or "answers")
            yield Found("production_evaluable", "production" in record.systems, ", ".join(record.systems))
        case Decision():
            failed = [check.name for check in record.gates if not check.passed]
            yield Found("gates", not failed, ", ".join(failed) or "all hold")


def _validated(line: Line, record: ValidatedData) -> Iterator[Found]:
    gates = line.policy.data
    dropped = sum(record.dropped.values()) / record.total if record.total else 0.0
    own = (
        Found("enough_items", record.kept >= gates.min_items, record.kept, gates.min_items),
        Found("quality", record.quality_score >= gates.min_quality, record.quality_score, gates.min_quality),
        Found("dropped_share", dropped <= gates.max_dropped_share, round(dropped, 3), gates.max_dropped_share),
    )
    yield from own
    unexplained = not record.accepted and all(found.passed for found in own)
    stopping = [reason.code for reason in record.reasons if reason.code not in DATA_GATES]
    yield Found("no_security_case", not stopping and not unexplained, ", ".join(stopping) or "none")
    leaks = {code: count for code, count in record.dropped.items() if code == LEAKED}
    yield Found("no_leak", not leaks, leaks or "none")


def serves_the_judged_bytes(line: Line) -> dg.AssetChecksDefinition:
    """Return the check of `deployed_version`; a step of its own, because a batch may end without that asset."""

    @dg.asset_check(
        asset=dg.AssetKey([line.line, "deployed_version"]),
        description="What serves, to all users or to some, is byte for byte what was judged",
    )
    def serves_the_judged_bytes(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        batch_id = context.run.tags["dagster/partition"]
        decision = platform.records.get(line.line, batch_id, "decision")
        deployed = platform.records.get(line.line, batch_id, "deployed_version")
        judged = decision.evidence.candidate if isinstance(decision, Decision) else None
        version = deployed.version if isinstance(deployed, DeployedVersion) else None
        live = platform.serving.live(line.line)
        arm = next((each for each in live.arms if each.version == version), None) if live else None
        state = status.deployment_status(platform, line, batch_id)
        metadata = {"judged": str(judged), "serves": arm.servable if arm else "no", "status": str(state)}
        if arm is None:
            waits = line.hub is not None and not line.hub.serve_before_published and state == "PENDING_PUBLISH"
            return dg.AssetCheckResult(passed=waits, metadata=metadata)
        platform.store.folder(arm.servable)
        metadata |= {"as": arm.role, "share of users": f"{arm.share:.0%}"}
        return dg.AssetCheckResult(passed=arm.servable == judged, metadata=metadata)

    return serves_the_judged_bytes
