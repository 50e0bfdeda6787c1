"""`decide`: evidence in, a decision out, always recorded; a question is asked at most once."""

from mlops_assets.core.digests import sha256_json
from mlops_assets.core.errors import NotFound, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports import Alert, Platform, Review
from mlops_assets.core.records import Decision, EvalReport, Evidence, ReviewAnswer
from mlops_assets.lifecycle.decide import agent
from mlops_assets.lifecycle.decide.binding import entry_body
from mlops_assets.lifecycle.decide.evidence import gather
from mlops_assets.lifecycle.decide.rules import Ruling, verdict
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import ended, hold, hold_decision, production

ACTOR = "agent"


def decide(platform: Platform, line: Line, batch_id: str) -> Decision:
    """Decide on an evaluated candidate and record it, as APPROVE, REJECT or a HUMAN_REVIEW that waits.

    The same evidence gives the same decision: called again, it returns it, or finishes what a crash left undone.
    Stale if production is not the version the candidate was measured against; NotFound if nothing was measured.
    """
    with hold(platform, line, batch_id), hold_decision(platform, line, batch_id, "agent"):
        made = platform.records.get(line.line, batch_id, "decision")
        known = made if isinstance(made, Decision) else None
        if known is not None and ended(platform, line, batch_id):
            return known
        evidence = gather(platform, line, batch_id, _current_report(platform, line, batch_id))
        if known is not None and _same(known.evidence, evidence):
            if not known.pending:
                return known
            evidence = known.evidence
        decision = conclude(platform, line, evidence, _answered(platform, decision_id(evidence)))
        if decision.pending:
            _ask(platform, decision)
        return decision


def decision_id(evidence: Evidence) -> str:
    """Return the id that stands for a decision on this evidence: 24 hex digits."""
    return sha256_json([evidence.line, evidence.batch_id, evidence.digest])[:24]


def conclude(platform: Platform, line: Line, evidence: Evidence, review: ReviewAnswer | None) -> Decision:
    """Take the agent's thread as far as it goes and record what it says; every step may be repeated."""
    known = decision_id(evidence)
    path = agent.run(platform.checkpoints_url, known, evidence, line.policy, review)
    platform.store.put_bytes(line.policy.canonical_json().encode())
    failpoint("decide: before record")
    ruling = verdict(evidence, line.policy, review)
    decision = Decision(
        line=evidence.line,
        batch_id=evidence.batch_id,
        parents={"eval_report": evidence.report},
        decision_id=known,
        verdict=ruling.verdict,
        pending=ruling.verdict == "HUMAN_REVIEW",
        reasons=ruling.reasons,
        gates=ruling.gates,
        statistics=ruling.statistics,
        evidence=evidence,
        evidence_digest=evidence.digest,
        policy_digest=evidence.policy,
        path=tuple(path),
        question=ruling.question,
        review=review if "human" in path else None,
        decided_at=_entered(platform, evidence, known, ruling, review),
    )
    platform.records.put("decision", decision)
    failpoint("decide: after record")
    return decision


def _entered(platform: Platform, evidence: Evidence, known: str, ruling: Ruling, review: ReviewAnswer | None) -> str:
    """Enter the decision, or the answer to it, in the ledger once; return when that was."""
    kind = "decided" if review is None else "reviewed"
    entry = platform.ledger.append(
        kind,
        evidence.line,
        actor=ACTOR if review is None else review.reviewer,
        batch_id=evidence.batch_id,
        body={**entry_body(evidence, known, ruling.verdict), "reasons": list(ruling.reasons)},
        key=f"{kind}:{known}",
    )
    return entry.at


def _current_report(platform: Platform, line: Line, batch_id: str) -> EvalReport:
    report = platform.records.get(line.line, batch_id, "eval_report")
    if not isinstance(report, EvalReport):
        raise NotFound(
            f"Batch {batch_id} of {line.line} was not evaluated.", f"Run `mlops run {line.line} {batch_id}`."
        )
    served = production(platform, line)
    judged = report.parents.get("production")
    if judged != (served and served.servable):
        raise Stale(
            f"Batch {batch_id} of {line.line} was evaluated against another production version than "
            f"{'none' if served is None else served.version}, which serves now.",
            f"Run `mlops run {line.line} {batch_id}` to evaluate it again.",
        )
    return report


def _same(known: Evidence, evidence: Evidence) -> bool:
    """Say whether two evidences differ in nothing but the code that gathered them."""
    return known.model_copy(update={"code_version": evidence.code_version}) == evidence


def _answered(platform: Platform, known: str) -> ReviewAnswer | None:
    """Return the answer a crash kept from being concluded, if there is one."""
    return next((each.answer for each in platform.reviews.list() if each.decision_id == known), None)


def _ask(platform: Platform, decision: Decision) -> None:
    question = decision.question or " ".join(decision.reasons)
    evidence = decision.evidence
    platform.reviews.ask(
        Review(
            decision_id=decision.decision_id,
            line=decision.line,
            batch_id=decision.batch_id,
            question=question,
            asked_at=decision.decided_at,
            production_version=evidence.production_version,
            contributor=evidence.contributor,
        )
    )
    failpoint("decide: after question")
    platform.alerts.send(
        Alert(
            key=f"review:{decision.decision_id}",
            title=f"{decision.line}: batch {decision.batch_id} waits for your review",
            text=f"{question}\nAnswer: `mlops reviews approve {decision.decision_id[:12]} --reason TEXT`, or reject.",
            line=decision.line,
        )
    )
