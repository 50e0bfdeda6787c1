"""How a batch ends: released, set aside, or judged anew because production moved meanwhile."""

import re
from pathlib import Path

from mlops_assets.components.failures import Failure
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import ValidatedData
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.outcome import DeployedVersion, Quarantined
from mlops_assets.lifecycle.decide.failing import alert_text
from mlops_assets.lifecycle.deployment.release import release
from mlops_assets.lifecycle.quarantine import quarantine

JUDGEMENTS_PER_BATCH = 3


def released(platform: Platform, line: Line, batch_id: str) -> DeployedVersion | None:
    """Release an approved candidate; None if the decision is anything else."""
    return release(platform, line, batch_id) if _verdict(platform, line, batch_id) == "APPROVE" else None


def set_aside(platform: Platform, line: Line, batch_id: str) -> Quarantined | None:
    """Quarantine a batch that is unusable or rejected; None if it is neither. One that is held stays as it is."""
    held = platform.records.get(line.line, batch_id, "quarantine")
    if isinstance(held, Quarantined):
        return held
    validated = platform.records.get(line.line, batch_id, "validated_data")
    if isinstance(validated, ValidatedData) and not validated.accepted:
        return _quarantine_data(platform, line, validated, logs=None)
    decision = platform.records.get(line.line, batch_id, "decision")
    if isinstance(decision, Decision) and _verdict(platform, line, batch_id) == "REJECT":
        return quarantine(
            platform,
            line,
            batch_id,
            reason_code="REJECTED",
            reason=alert_text(decision),
            deployment_status="FAILED_EVALUATION",
            logs=None,
        )
    return None


def set_aside_failed(platform: Platform, line: Line, batch_id: str, failure: Failure, logs: Path) -> Quarantined:
    """Quarantine the batch of a failed run with its log; unusable data is the reason wherever it is one."""
    validated = platform.records.get(line.line, batch_id, "validated_data")
    if isinstance(validated, ValidatedData) and not validated.accepted:
        return _quarantine_data(platform, line, validated, logs=logs)
    return quarantine(
        platform,
        line,
        batch_id,
        reason_code=re.sub(r"(?<=[a-z])(?=[A-Z])", "_", failure.kind).upper(),
        reason=f"{failure.step or 'The run'} failed: {failure.message}",
        deployment_status="ERROR",
        logs=logs,
    )


def judge_again(platform: Platform, line: Line, batch_id: str) -> bool:
    """Let evaluation and decision count as not made, because production moved; False once that was done too often."""
    decisions = platform.records.history(line.line, batch_id, "decision")
    judgements = [each for each in decisions if isinstance(each, Decision) and each.review is None]
    if len(judgements) >= JUDGEMENTS_PER_BATCH:
        return False
    for asset in ("decision", "eval_report"):
        platform.records.forget(line.line, batch_id, asset)
    return True


def _quarantine_data(platform: Platform, line: Line, validated: ValidatedData, logs: Path | None) -> Quarantined:
    return quarantine(
        platform,
        line,
        validated.batch_id,
        reason_code=validated.reasons[0].code,
        reason="; ".join(f"{reason.title} {reason.detail}".strip() for reason in validated.reasons),
        deployment_status="ERROR",
        logs=logs,
    )


def _verdict(platform: Platform, line: Line, batch_id: str) -> str | None:
    decision = platform.records.get(line.line, batch_id, "decision")
    return decision.verdict if isinstance(decision, Decision) and not decision.pending else None
