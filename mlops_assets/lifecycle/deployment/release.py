"""Release: an approved candidate becomes a version and reaches users, by the line's strategy (`rollout`).

The order of a release is version row, ledger, pointer, registry, serving pointer, card, record. The ledger is
authoritative from its entry on; every later step is idempotent and is made again by the same command.
"""

from mlops_assets.core.errors import Busy, NotFound, PlatformError, Refused, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer, Version
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.outcome import DeployedVersion, DeploymentStatus
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle.decide import binding
from mlops_assets.lifecycle.deployment.beginning import begin
from mlops_assets.lifecycle.deployment.card import model_card
from mlops_assets.lifecycle.deployment.guarding import require_idle
from mlops_assets.lifecycle.deployment.moving import move, standing
from mlops_assets.lifecycle.deployment.publishing import (
    ATTEMPTS,
    PLATFORM,
    mirror,
    owed,
    publish,
    publish_roles,
    tag_hub,
    tell,
)
from mlops_assets.lifecycle.deployment.rollout import settle
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import hold, hold_pointer
from mlops_assets.lifecycle.quarantine import quarantine


def release(platform: Platform, line: Line, batch_id: str) -> DeployedVersion:
    """Bring an approved candidate to users by the line's strategy; called again, it finishes what a crash left undone.

    With `replace`, and as the first version of a line, it is in production then (SUCCESS). Otherwise its rollout has
    begun (CANARY): a green version takes over once every gateway has loaded it, at once where there is none; a canary
    goes on by `advance` and `promote`, which its judge or a person calls. Busy while another is being rolled out.

    Refused for anything but a concluded APPROVE; Stale if production, policy, code, an evaluation set or the candidate
    is no longer what the decision is bound to; Corrupt if the ledger does not bear the decision out, or stored bytes
    are not what their digest says. A release that was begun is finished, whatever became of policy and code.

    The Hub, where the line has one, is given the version while nothing is held: until it has it, the record says
    PENDING_PUBLISH, and with `serve_before_published: false` nothing is switched.
    """
    deployed = _with_hub(platform, line, _release(platform, line, batch_id), ATTEMPTS)
    settle(platform, line)
    latest = platform.records.get(line.line, batch_id, "deployed_version")
    return latest if isinstance(latest, DeployedVersion) else deployed


def _with_hub(platform: Platform, line: Line, deployed: DeployedVersion, attempts: int) -> DeployedVersion:
    """Publish what is pending and finish its release; the record as it is if the Hub is away."""
    if deployed.status != "PENDING_PUBLISH":
        return deployed
    version = platform.versions.get(line.line, deployed.version)
    decision = platform.records.get(line.line, deployed.batch_id, "decision")
    if not publish(platform, line, version, decision if isinstance(decision, Decision) else None, attempts=attempts):
        return deployed
    return _release(platform, line, deployed.batch_id)


def _release(platform: Platform, line: Line, batch_id: str) -> DeployedVersion:
    """Do all of a release that the tables, and what the Hub has, allow."""
    with hold(platform, line, batch_id), hold_pointer(platform, line, batch_id):
        decision, candidate = _approved(platform, line, batch_id)
        pointer = standing(platform, line).pointer
        made = platform.records.get(line.line, batch_id, "deployed_version")
        if isinstance(made, DeployedVersion) and made.decision_id == decision.decision_id:
            if made.status != "PENDING_PUBLISH" or owed(platform, line, made.version):
                return made
            if _released(platform, line, made.version):
                status = "CANARY" if _rolled_out(pointer, made.version) else "SUCCESS"
                return _recorded(platform, made.model_copy(update={"status": status}))
        binding.require_whole_ledger(platform)
        begun = _begun(platform, decision)
        released = begun is not None and _released(platform, line, begun.version)
        if not released:
            require_idle(line, pointer)
        if begun is None:
            binding.require_current(platform, line, decision, candidate)
        binding.require_intact(platform, decision)
        if begun is None:
            binding.require_approval(platform, line, decision)
        pending = owed(platform, line, begun.version) if begun else line.hub is not None
        if line.hub is not None and pending and not released and not line.hub.serve_before_published:
            return _recorded(platform, _held_back(platform, line, decision, candidate))
        version, pointer = _switch(platform, line, decision, candidate, begun, pointer)
        mlflow_version, card = mirror(platform, line, version, decision, pointer)
        failpoint("release: after card")
        entry = next(e for e in platform.ledger.entries(line.line, "released") if e.body["version"] == version.version)
        settled = "CANARY" if _rolled_out(pointer, version.version) else "SUCCESS"
        status = "PENDING_PUBLISH" if pending else settled
        deployed = _deployed(decision, candidate, version, status=status, card=card, at=entry.at)
        return _recorded(platform, deployed.model_copy(update={"mlflow_model_version": mlflow_version}))


def _deployed(
    decision: Decision, candidate: CandidateModel, version: Version, *, status: DeploymentStatus, card: str, at: str
) -> DeployedVersion:
    return DeployedVersion(
        line=decision.line,
        batch_id=decision.batch_id,
        parents={"decision": decision.digest, "candidate_model": candidate.digest},
        version=version.version,
        servable=version.servable,
        model=version.model,
        decision_id=decision.decision_id,
        previous_version=decision.evidence.production_version,
        status=status,
        card=card,
        deployed_at=at,
    )


def _recorded(platform: Platform, deployed: DeployedVersion) -> DeployedVersion:
    platform.records.put("deployed_version", deployed)
    failpoint("release: after record")
    return deployed


def _released(platform: Platform, line: Line, version: int) -> bool:
    return any(each.body["version"] == version for each in platform.ledger.entries(line.line, "released"))


def _held_back(platform: Platform, line: Line, decision: Decision, candidate: CandidateModel) -> DeployedVersion:
    """Number the version and say that it waits for the Hub; what serves stays as it is."""
    version = _version(platform, line, decision, candidate)
    card = platform.store.put_bytes(model_card(platform, line, version, decision).encode())
    return _deployed(decision, candidate, version, status="PENDING_PUBLISH", card=card, at=version.deployed_at)


def reconcile(platform: Platform) -> None:
    """Make serving pointers, registry and alerts equal to the tables, and those to the ledger, which is authoritative.

    A line that somebody is moving at this moment is left to them.
    """
    for line in platform.lines():
        _reconcile_pointer(platform, line)
        if line.hub is not None:
            _reconcile_hub(platform, line)
    platform.tracker.reconcile()
    platform.alerts.deliver()


def _reconcile_pointer(platform: Platform, line: Line) -> None:
    try:
        with hold_pointer(platform, line, "reconcile", wait_seconds=0):
            now = standing(platform, line)
            if "production" not in now.pointer.roles:
                return
            if not now.told:
                live = now.pointer.rollout.version if now.pointer.rollout else now.pointer.roles["production"]
                _mirror_again(platform, line, platform.versions.get(line.line, live), now.pointer)
            publish_roles(platform, line, now.pointer)
        settle(platform, line)
    except Busy:
        return
    except PlatformError as error:
        tell(platform, line, f"{line.line} cannot be published", platform.versions.pointer(line.line).revision, error)


def _mirror_again(platform: Platform, line: Line, version: Version, pointer: Pointer) -> None:
    """Tell everybody of a version once more, as the call would have that a crash cut off."""
    decision = platform.records.get(line.line, version.batch_id, "decision") if version.batch_id else None
    mirror(platform, line, version, decision if isinstance(decision, Decision) else None, pointer)


def _reconcile_hub(platform: Platform, line: Line) -> None:
    """Publish what is pending, and what serves; then let the Hub's production tag follow the pointer."""
    for version in platform.versions.list(line.line):
        made = version.batch_id and platform.records.get(line.line, version.batch_id, "deployed_version")
        if isinstance(made, DeployedVersion) and (made.version, made.status) == (version.version, "PENDING_PUBLISH"):
            try:
                _with_hub(platform, line, _release(platform, line, made.batch_id), 1)
            except Busy:
                continue
            except Stale as error:
                _set_aside(platform, line, made, error)
            except PlatformError as error:
                tell(platform, line, f"Version {made.version} waits and cannot be released", made.version, error)
    pointer = platform.versions.pointer(line.line)
    if "production" in pointer.roles:
        live = platform.versions.get(line.line, pointer.roles["production"])
        if live.batch_id is None:  # a base model, which no record waits for
            publish(platform, line, live, None, attempts=1)
        tag_hub(platform, line, pointer)


def _set_aside(platform: Platform, line: Line, made: DeployedVersion, error: Stale) -> None:
    """Quarantine a candidate that waited for the Hub until it could not be released any more."""
    platform.records.forget(line.line, made.batch_id, "deployed_version")
    quarantine(
        platform,
        line,
        made.batch_id,
        reason_code="NOT_RELEASED",
        reason=f"Version {made.version} waited for the Hub and cannot be released any more: {error}",
        deployment_status="ERROR",
        logs=None,
    )


def _approved(platform: Platform, line: Line, batch_id: str) -> tuple[Decision, CandidateModel]:
    decision = platform.records.get(line.line, batch_id, "decision")
    candidate = platform.records.get(line.line, batch_id, "candidate_model")
    if not isinstance(decision, Decision) or not isinstance(candidate, CandidateModel):
        raise NotFound(
            f"Nobody decided on batch {batch_id} of {line.line}.", f"Run `mlops run {line.line} {batch_id}`."
        )
    if decision.verdict != "APPROVE" or decision.pending or not all(gate.passed for gate in decision.gates):
        raise Refused(
            f"Batch {batch_id} of {line.line} is not approved: {decision.verdict}.", " ".join(decision.reasons)
        )
    if candidate.servable != decision.evidence.candidate:
        raise Stale(
            f"The candidate of batch {batch_id} is not the one that was judged.",
            f"Run `mlops run {line.line} {batch_id}` to judge it.",
        )
    return decision, candidate


def _begun(platform: Platform, decision: Decision) -> Version | None:
    """Return the version that a call which was killed made of this decision, if there is one."""
    made = (each for each in platform.versions.list(decision.line) if each.decision_id == decision.decision_id)
    return next(made, None)


def _rolled_out(pointer: Pointer, version: int) -> bool:
    return pointer.rollout is not None and pointer.rollout.version == version


def _switch(
    platform: Platform,
    line: Line,
    decision: Decision,
    candidate: CandidateModel,
    made: Version | None,
    pointer: Pointer,
) -> tuple[Version, Pointer]:
    """Add the version and move the pointer, unless a call that was killed did so already, wherever it is by now."""
    if made is not None and _released(platform, line, made.version):
        return made, pointer
    version = _version(platform, line, decision, candidate)
    failpoint("release: after version")
    roles, rollout = begin(platform, line, pointer, version, line.release.deployment_strategy)
    body = {
        "version": version.version,
        "previous": decision.evidence.production_version,
        "servable": version.servable,
        "decision": decision.decision_id,
        "reasons": list(decision.reasons),
        "strategy": rollout.strategy if rollout else "replace",
    }
    actor = decision.review.reviewer if decision.review else PLATFORM
    return version, move(
        platform, line, "release", pointer, roles, rollout, actor=actor, body=body, batch_id=decision.batch_id
    )


def _version(platform: Platform, line: Line, decision: Decision, candidate: CandidateModel) -> Version:
    """Number the version, if production is still what the decision was made against and all bytes are there."""
    live = platform.versions.pointer(line.line).roles.get("production")
    judged = decision.evidence.production_version, decision.evidence.production
    if judged != (live, None if live is None else platform.versions.get(line.line, live).servable):
        raise Stale(
            f"{line.line} serves version {live} now; batch {decision.batch_id} was approved against version "
            f"{decision.evidence.production_version}.",
            f"Run `mlops run {line.line} {decision.batch_id}` to evaluate it against version {live}.",
        )
    platform.store.folder(candidate.servable)
    platform.store.folder(candidate.model)
    return platform.versions.add(
        line.line,
        servable=candidate.servable,
        model=candidate.model,
        batch_id=decision.batch_id,
        decision_id=decision.decision_id,
        parent_version=candidate.parent_version,
    )
