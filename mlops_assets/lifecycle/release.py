"""Release and rollback: which bytes serve, moved by compare-and-set and healed after any crash.

The order of a release is version row, pointer, serving pointer, registry, card, ledger, record. The tables are
authoritative from the pointer on; every later step is idempotent and is made again by the same command.
"""

from mlops_assets.core.errors import NotFound, Refused, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports import Platform, Pointer, Role, Version
from mlops_assets.core.records import CandidateModel, Decision, DeployedVersion
from mlops_assets.lifecycle.decide import binding
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import hold, hold_pointer
from mlops_assets.lifecycle.publishing import PLATFORM, mirror, publish_roles


def release(platform: Platform, line: Line, batch_id: str) -> DeployedVersion:
    """Make an approved candidate the production version; called again, it finishes what a crash left undone.

    Refused for anything but a concluded APPROVE; Stale if production, policy, code, an evaluation set or the candidate
    is no longer what the decision is bound to; Corrupt if the ledger does not bear the decision out, or stored bytes
    are not what their digest says. A release that was begun is finished, whatever became of policy and code.
    """
    with hold(platform, line, batch_id), hold_pointer(platform, line, batch_id):
        decision, candidate = _approved(platform, line, batch_id)
        made = platform.records.get(line.line, batch_id, "deployed_version")
        if isinstance(made, DeployedVersion) and made.decision_id == decision.decision_id:
            return made
        binding.require_whole_ledger(platform)
        begun = _begun(platform, decision)
        if begun is None:
            binding.require_current(platform, line, decision, candidate)
        binding.require_intact(platform, decision)
        if begun is None:
            binding.require_approval(platform, line, decision)
        version, pointer = _switch(platform, line, decision, candidate, begun)
        failpoint("release: after pointer")
        mlflow_version, card = mirror(platform, line, version, decision, pointer)
        failpoint("release: after card")
        entry = platform.ledger.append(
            "released",
            line.line,
            actor=decision.review.reviewer if decision.review else PLATFORM,
            batch_id=batch_id,
            body={
                "version": version.version,
                "previous": decision.evidence.production_version,
                "servable": version.servable,
                "decision": decision.decision_id,
                "reasons": list(decision.reasons),
            },
            key=f"released:{line.line}:{decision.decision_id}",
        )
        failpoint("release: after ledger")
        deployed = DeployedVersion(
            line=line.line,
            batch_id=batch_id,
            parents={"decision": decision.digest, "candidate_model": candidate.digest},
            version=version.version,
            servable=version.servable,
            model=version.model,
            decision_id=decision.decision_id,
            previous_version=decision.evidence.production_version,
            status="SUCCESS",
            card=card,
            mlflow_model_version=mlflow_version,
            deployed_at=entry.at,
        )
        platform.records.put("deployed_version", deployed)
        failpoint("release: after record")
        return deployed


def rollback(platform: Platform, line: Line, *, to: int | None, reason: str, actor: str) -> Pointer:
    """Serve the previous version, or a named one, again; the reason goes into the ledger.

    NotFound for a version there is not; Refused for the one that serves, or when there is no previous one.
    """
    with hold_pointer(platform, line, f"rollback by {actor}"):
        pointer = platform.versions.pointer(line.line)
        if _unfinished(platform, line, pointer, to):
            return publish_roles(platform, line, pointer)
        live, version = _target(platform, line, pointer, to)
        platform.ledger.append(
            "rolled_back",
            line.line,
            actor=actor,
            batch_id=platform.versions.get(line.line, live).batch_id,
            body={"from": live, "to": version.version, "reason": reason, "revision": pointer.revision + 1},
            key=f"rolled_back:{line.line}:{pointer.revision + 1}",
        )
        failpoint("rollback: after ledger")
        roles: dict[Role, int] = {**pointer.roles, "production": version.version, "previous": live}
        moved = platform.versions.move(line.line, pointer, roles)
        failpoint("rollback: after pointer")
        return publish_roles(platform, line, moved)


def reconcile(platform: Platform) -> None:
    """Make serving pointers, registry and alerts equal to the tables, which alone are authoritative."""
    for line in platform.lines():
        pointer = platform.versions.pointer(line.line)
        if "production" in pointer.roles:
            publish_roles(platform, line, pointer)
    platform.tracker.reconcile()
    platform.alerts.deliver()


def _target(platform: Platform, line: Line, pointer: Pointer, to: int | None) -> tuple[int, Version]:
    """Return the version that serves, and the verified one to go back to."""
    live = pointer.roles.get("production")
    target = pointer.roles.get("previous") if to is None else to
    if live is None or target is None:
        raise Refused(f"{line.line} has no previous version.", f"`mlops versions {line.line}` lists what there is.")
    version = platform.versions.get(line.line, target)
    if target == live:
        raise Refused(f"{line.line} serves version {live} already.", "Name another one with --to.")
    platform.store.folder(version.servable)
    return live, version


def _unfinished(platform: Platform, line: Line, pointer: Pointer, to: int | None) -> bool:
    """Say whether the last move is this rollback, killed before anyone was told: finish it, do not go back again."""
    published = platform.serving.live(line.line)
    if published is None or published["revision"] == pointer.revision or to not in (None, pointer.roles["production"]):
        return False
    return any(each.body["revision"] == pointer.revision for each in platform.ledger.entries(line.line, "rolled_back"))


def was_rolled_back(platform: Platform, line: Line, version: int) -> bool:
    """Say whether a version was ever rolled back from."""
    return any(each.body["from"] == version for each in platform.ledger.entries(line.line, "rolled_back"))


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


def _switch(
    platform: Platform, line: Line, decision: Decision, candidate: CandidateModel, made: Version | None
) -> tuple[Version, Pointer]:
    """Add the version and move the pointer, unless a call that was killed did so already."""
    pointer = platform.versions.pointer(line.line)
    live = pointer.roles.get("production")
    if made is not None and live == made.version:
        return made, pointer
    if made is not None and was_rolled_back(platform, line, made.version):
        raise Refused(
            f"Version {made.version} of {line.line} was rolled back.",
            f"`mlops rollback {line.line} --to {made.version} --reason TEXT` serves it again.",
        )
    judged = decision.evidence.production_version, decision.evidence.production
    if judged != (live, None if live is None else platform.versions.get(line.line, live).servable):
        raise Stale(
            f"{line.line} serves version {live} now; batch {decision.batch_id} was approved against version "
            f"{decision.evidence.production_version}.",
            f"Run `mlops run {line.line} {decision.batch_id}` to evaluate it against version {live}.",
        )
    platform.store.folder(candidate.servable)
    platform.store.folder(candidate.model)
    version = platform.versions.add(
        line.line,
        servable=candidate.servable,
        model=candidate.model,
        batch_id=decision.batch_id,
        decision_id=decision.decision_id,
        parent_version=candidate.parent_version,
    )
    failpoint("release: after version")
    roles: dict[Role, int] = {**pointer.roles, "production": version.version}
    if live is not None:
        roles["previous"] = live
    return version, platform.versions.move(line.line, pointer, roles)
