"""What a decision is bound to: the bytes it judged, the numbers and code it judged by, and the ledger's word for it.

Release refuses anything else. What moved honestly since (production, policy, code, an evaluation set) makes a decision
stale: the batch is judged anew. What can only have been tampered with is Corrupt, and nothing is released until a
person has looked.
"""

from pydantic import JsonValue

from mlops_assets.core.digests import sha256_json
from mlops_assets.core.errors import Corrupt, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports.accountability import LedgerEntry
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Decision, Evidence, Verdict
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle.decide.recorded import digest_as_written, judging_code, replayed, stored_policy
from mlops_assets.lifecycle.evaluation.evaluation_sets import SEALED, evaluation_sets, sealed_set

RESTORE = "Nothing is released; restore the database from a backup (`mlops doctor` names every entry)."


def entry_body(evidence: Evidence, decision_id: str, verdict: Verdict) -> dict[str, JsonValue]:
    """Return what the ledger says of a decision: its verdict, and the digests of all that it is about."""
    return {
        "decision": decision_id,
        "verdict": verdict,
        "evidence": evidence.digest,
        "candidate": evidence.candidate,
        "production": evidence.production,
        "production_version": evidence.production_version,
        "policy": evidence.policy,
        "golden": dict(evidence.golden),
    }


def require_whole_ledger(platform: Platform) -> None:
    """Raise Corrupt where the chain of the ledger is broken: then nobody can say what was decided."""
    broken = platform.ledger.verify(whole=False)
    if broken:
        raise Corrupt(f"The ledger was changed: {' '.join(broken[:3])}", RESTORE)


def require_intact(platform: Platform, decision: Decision) -> None:
    """Raise Corrupt unless a decision is, word for word, the one that the ledger has."""
    wrong = disagreement(decision, _entry(platform, decision))
    if wrong is not None:
        raise Corrupt(wrong, RESTORE)


def disagreement(decision: Decision, entry: LedgerEntry | None) -> str | None:
    """Return a sentence on where a decision's record and its ledger entry differ; None where they agree.

    What an entry of an earlier release does not name is not compared.
    """
    what = f"Decision {decision.decision_id[:12]} on batch {decision.batch_id} of {decision.line}"
    evidence = digest_as_written(decision.evidence)
    if decision.evidence_digest != evidence:
        return f"{what} was changed: its evidence is {evidence[:12]}, and it claims {decision.evidence_digest[:12]}."
    if decision.policy_digest != decision.evidence.policy:
        return f"{what} was changed: it names another policy than its evidence."
    if entry is None:
        return f"{what} has no entry in the ledger: nobody made it."
    if entry.hash != sha256_json(entry.model_dump(exclude={"hash"})):
        return f"{what} rests on ledger entry {entry.sequence}, which was changed after it was written."
    claimed = entry_body(decision.evidence, decision.decision_id, decision.verdict) | {"evidence": evidence}
    differing = sorted(key for key, value in claimed.items() if key in entry.body and entry.body[key] != value)
    if differing or not {"decision", "verdict", "evidence", "candidate"} <= set(entry.body):
        names = ", ".join(differing) or "what it decided"
        return f"{what} differs from ledger entry {entry.sequence}: {names}."
    return None


def require_current(platform: Platform, line: Line, decision: Decision, candidate: CandidateModel) -> None:
    """Raise Stale where candidate, policy, code or an evaluation set is no longer what was judged, or judged by.

    ConfigError for an evaluation set that is missing.
    """
    evidence = decision.evidence
    what = f"Batch {decision.batch_id} of {line.line} was judged"
    if candidate.digest != evidence.parents.get("candidate_model", candidate.digest):
        raise _stale(line, decision, f"The candidate of batch {decision.batch_id} is not the one that was judged.")
    if line.policy.digest != evidence.policy:
        raise _stale(line, decision, f"{what} by policy {evidence.policy[:12]}; it is {line.policy.digest[:12]} now.")
    code = judging_code(platform, line)
    if code != evidence.code_version:
        raise _stale(line, decision, f"{what} by the code {evidence.code_version}; it is {code} now.")
    sealed = sealed_set(platform, line)
    judged = {each.name: each.dataset for each in evidence.sets if each.kind not in ("holdout", "sealed")}
    now = {each.name: each.dataset for each in evaluation_sets(platform, line)}
    if evidence.sealed is not None:
        judged[SEALED] = evidence.sealed
    if sealed is not None:
        now[SEALED] = sealed.dataset
    moved = sorted(name for name in {*judged, *now} if judged.get(name) != now.get(name))
    if moved:
        raise _stale(line, decision, f"{what} on other sets than there are now: {', '.join(moved)} changed.")


def require_approval(platform: Platform, line: Line, decision: Decision) -> None:
    """Raise Corrupt unless rules, evidence and answers say APPROVE again; NotFound if the policy was not kept."""
    ruling = replayed(decision, stored_policy(platform.store, decision.policy_digest))
    if ruling.verdict != "APPROVE":
        raise Corrupt(
            f"Decision {decision.decision_id[:12]} on batch {decision.batch_id} of {line.line} says APPROVE; its "
            f"evidence says {ruling.verdict}: {' '.join(ruling.reasons)}",
            f"See `mlops decisions replay {decision.decision_id[:12]}`.",
        )


def _entry(platform: Platform, decision: Decision) -> LedgerEntry | None:
    kind = "decided" if decision.review is None else "reviewed"
    entries = platform.ledger.entries(decision.line, kind, decision.batch_id)
    return next((each for each in entries if each.body.get("decision") == decision.decision_id), None)


def _stale(line: Line, decision: Decision, what: str) -> Stale:
    return Stale(what, f"Run `mlops run {line.line} {decision.batch_id}` to judge it anew.")
