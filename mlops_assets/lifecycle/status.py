"""What is known of a batch or a line, derived from the records each time: no status is stored that could be wrong."""

from typing import Any

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer, Version
from mlops_assets.core.records.data import ValidatedData
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.core.records.outcome import DeployedVersion, DeploymentStatus
from mlops_assets.lifecycle.deployment.guarding import was_released, was_rolled_back
from mlops_assets.lifecycle.history import Chain, chain


def show(platform: Platform, line: Line, batch_id: str) -> dict[str, Any]:
    """Return all there is to say about one batch, as JSON data; NotFound names the line's latest batches."""
    batch = platform.batches.get(line.line, batch_id)
    made = chain(platform, line, batch_id)
    decision, candidate, held = made.decision, made.candidate, made.quarantined
    return {
        "batch_id": batch_id,
        "line": line.line,
        "status": status_of(platform, line, made),
        "contributor": batch.contributor,
        "source": batch.source,
        "received_at": batch.received_at,
        "items": _items(made.data),
        "quality_score": made.data.quality_score if made.data else None,
        "metrics": metrics(made.report),
        "verdict": decision.verdict if decision else None,
        "reasons": _reasons(made),
        "decision_id": decision.decision_id if decision else None,
        "deployment_status": _deployment_status(platform, line, made),
        "version": made.deployed.version if made.deployed else None,
        "quarantine_path": str(platform.home / held.path) if held else None,
        "dagster_run_ids": [entry.body["run_id"] for entry in platform.ledger.entries(line.line, "run", batch_id)],
        "mlflow_run_id": candidate.mlflow_run_id if candidate else None,
    }


def status(platform: Platform, line: Line, batch_id: str) -> str:
    """Return how far a batch got, in one word."""
    return status_of(platform, line, chain(platform, line, batch_id))


def status_of(platform: Platform, line: Line, made: Chain) -> str:
    """Return how far the batch of a chain got, in one word."""
    if made.deployed is not None:
        deployed = _deployed(platform, line, made.deployed)
        return "DEPLOYED" if deployed == "SUCCESS" else deployed
    if made.quarantined is not None:
        return {"held": "QUARANTINED", "released": "RELEASED", "discarded": "DISCARDED"}[made.quarantined.status]
    if made.decision is not None:
        if made.decision.pending:
            return "PENDING_REVIEW"
        return "REJECTED" if made.decision.verdict == "REJECT" else "DECIDED"
    if made.report is not None:
        return "EVALUATED"
    if made.candidate is not None:
        return "TRAINED"
    if made.data is not None:
        return "VALIDATED" if made.data.accepted else "REFUSED"
    return "RECEIVED"


def deployment_status(platform: Platform, line: Line, batch_id: str) -> DeploymentStatus | None:
    """Return the outcome in the sources' words; None while the batch is under way."""
    return _deployment_status(platform, line, chain(platform, line, batch_id))


def _deployment_status(platform: Platform, line: Line, made: Chain) -> DeploymentStatus | None:
    if made.deployed is not None:
        return _deployed(platform, line, made.deployed)
    if made.quarantined is not None:
        return made.quarantined.deployment_status
    if made.decision is not None and made.decision.pending:
        return "PENDING_REVIEW"
    if made.decision is not None and made.decision.verdict == "REJECT":
        return "FAILED_EVALUATION"
    return "ERROR" if made.data is not None and not made.data.accepted else None


def metrics(report: EvalReport | None) -> dict[str, dict[str, Any]]:
    """Return every metric of every set as a whole: golden ones by their name, others as '<set>/<metric>'."""
    if report is None:
        return {}
    golden = {each.name for each in report.sets if each.kind == "golden"}
    systems = ("candidate", "production", "baseline", "reference", "classical")
    fields = (*systems, "higher_is_better", "delta", "lower", "upper", "n", "origin")
    return {
        each.metric if each.set_name in golden else f"{each.set_name}/{each.metric}": each.model_dump(
            mode="json", include=set(fields)
        )
        for each in report.comparisons
        if each.slice is None
    }


def versions(platform: Platform, line: Line) -> list[dict[str, Any]]:
    """Return a line's versions, oldest first, as JSON data: roles, share of users, and state as they are now.

    The state is 'serving', 'rolling out', 'held', 'pending' (numbered and not released yet), 'rolled back', 'retired'
    or else 'kept'; the strategy is that of its latest way to users.
    """
    pointer = platform.versions.pointer(line.line)
    share, strategies = shares(pointer), _strategies(platform, line)
    return [
        {
            "version": each.version,
            "digest": each.servable,
            "roles": sorted(role for role, number in pointer.roles.items() if number == each.version),
            "share": share.get(each.version, 0.0),
            "state": _state(platform, line, pointer, each),
            "strategy": strategies.get(each.version, "replace"),
            "batch_id": each.batch_id,
            "decision_id": each.decision_id,
            "deployed_at": each.deployed_at,
            "retired_at": each.retired_at,
        }
        for each in platform.versions.list(line.line)
    ]


def shares(pointer: Pointer) -> dict[int, float]:
    """Return the part of users whom each version answers; nothing before a line serves."""
    if "production" not in pointer.roles:
        return {}
    rollout = pointer.rollout
    share = rollout.share if rollout else 0.0
    return {pointer.roles["production"]: 1 - share} | ({rollout.version: share} if rollout else {})


def _state(platform: Platform, line: Line, pointer: Pointer, version: Version) -> str:
    if version.version == pointer.roles.get("production"):
        return "serving"
    if pointer.rollout is not None and pointer.rollout.version == version.version:
        return "held" if pointer.rollout.held else "rolling out"
    if version.retired_at is not None:
        return "retired"
    if was_rolled_back(platform, line, version.version):
        return "rolled back"
    return "kept" if was_released(platform, line, version) else "pending"


def _strategies(platform: Platform, line: Line) -> dict[int, str]:
    entries = [e for kind in ("released", "deployed") for e in platform.ledger.entries(line.line, kind)]
    entries.sort(key=lambda entry: entry.sequence)
    return {int(str(e.body["version"])): str(e.body.get("strategy", "replace")) for e in entries}


def _deployed(platform: Platform, line: Line, deployed: DeployedVersion) -> DeploymentStatus:
    """Return how far a version got: what the pointer and the ledger say now goes before what its record said then."""
    pointer = platform.versions.pointer(line.line)
    rolled_out = pointer.rollout is not None and pointer.rollout.version == deployed.version
    serves = pointer.roles.get("production") == deployed.version
    if not (rolled_out or serves) and was_rolled_back(platform, line, deployed.version):
        return "ROLLED_BACK"
    if deployed.status == "PENDING_PUBLISH":
        return "PENDING_PUBLISH"
    return "CANARY" if rolled_out else "SUCCESS"


def _items(data: ValidatedData | None) -> dict[str, Any] | None:
    return {"total": data.total, "kept": data.kept, "dropped": data.dropped} if data else None


def _reasons(made: Chain) -> list[str]:
    if made.decision is not None:
        return list(made.decision.reasons)
    if made.data is not None and made.data.reasons:
        return [" ".join(filter(None, (each.code, each.title, each.detail))) for each in made.data.reasons]
    return [made.quarantined.reason] if made.quarantined else []
