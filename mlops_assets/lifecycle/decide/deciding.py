"""`decide`: evidence in, a decision out, always recorded; a question is asked at most once."""

from collections.abc import Sequence

from mlops_assets.core.digests import sha256_json
from mlops_assets.core.errors import Corrupt, NotFound, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports.accountability import Review
from mlops_assets.core.ports.mirrors import Alert
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Decision, Evidence, Exchange, ReviewAnswer
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.lifecycle.decide import agent
from mlops_assets.lifecycle.decide.binding import entry_body
from mlops_assets.lifecycle.decide.evidence import gather, gathered
from mlops_assets.lifecycle.decide.failing import alert_text
from mlops_assets.lifecycle.decide.page import decision_page
from mlops_assets.lifecycle.decide.rules import verdict
from mlops_assets.lifecycle.decide.ruling import Ruling
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import ended, hold, hold_decision, production

ACTOR = "agent"


def decide(platform: Platform, line: Line, batch_id: str) -> Decision:
    """Decide on an evaluated candidate and record it, as APPROVE, REJECT or a HUMAN_REVIEW that waits.

    What is unclear may buy more evidence first, a training with other settings included: the decision is then about
    that candidate. The same evidence and code give the same decision: called again, it returns it, or finishes what a
    crash left undone. Stale if production is not the version the candidate was measured against, or the candidate not
    the one that was measured; NotFound if nothing was measured; TaskFailed if what was bought could not be made.
    """
    with hold(platform, line, batch_id), hold_decision(platform, line, batch_id, "agent"):
        made = platform.records.get(line.line, batch_id, "decision")
        known = made if isinstance(made, Decision) else None
        if known is not None and ended(platform, line, batch_id):
            return known
        evidence = gather(platform, line, batch_id, _current_report(platform, line, batch_id))
        if known is None or not _about(known, evidence):
            begun = decision_id(evidence)
            decision = _concluded(platform, line, begun, evidence, _answered(platform, begun))
        else:
            decision = settle(platform, line, known, _answered(platform, known.decision_id)) if known.pending else known
        if decision.pending:
            _ask(platform, decision)
        return decision


def decision_id(evidence: Evidence) -> str:
    """Return the id that stands for a decision that begins with this evidence: 24 hex digits.

    Purchases leave it as it is; other code makes another decision, because a release is bound to the code that judged.
    """
    return sha256_json([evidence.line, evidence.batch_id, gathered(evidence), evidence.code_version])[:24]


def _about(known: Decision, evidence: Evidence) -> bool:
    """Say whether a decision began with this evidence, or bought its way to it, and by the code there is now."""
    return known.gathered == gathered(evidence) and known.evidence.code_version == evidence.code_version


def settle(platform: Platform, line: Line, waiting: Decision, review: ReviewAnswer | None) -> Decision:
    """Conclude a decision that waits by a person's answer and record it; without one it goes on waiting."""
    return _concluded(platform, line, waiting.decision_id, waiting.evidence, review, waiting.exchanges)


def _concluded(
    platform: Platform,
    line: Line,
    known: str,
    evidence: Evidence,
    review: ReviewAnswer | None,
    exchanges: Sequence[Exchange] = (),
) -> Decision:
    """Take the agent's thread as far as it goes and record what it says; every step may be repeated.

    The tracker mirrors the decision before it is recorded: whatever dies between the two is made again.
    """
    outcome = agent.run(platform, line, known, evidence, review, exchanges)
    if outcome.evidence.attempt == evidence.attempt and gathered(outcome.evidence) != gathered(evidence):
        raise Corrupt(
            f"The checkpoint of decision {known} of {line.line} holds other evidence than was gathered.",
            "Remove the thread of that name from the checkpoints, and find out who wrote to them.",
        )
    evidence = outcome.evidence
    platform.store.put_bytes(line.policy.canonical_json().encode())
    failpoint("decide: before record")
    answered = review if "human" in outcome.path else None
    reply = next((each.reply for each in reversed(outcome.exchanges) if each.purpose == "verdict"), None)
    ruling = verdict(evidence, line.policy, answered, reply)
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
        path=outcome.path,
        gathered=gathered(evidence),
        exchanges=outcome.exchanges,
        analysis=outcome.analysis,
        question=outcome.question if ruling.question else None,
        review=answered,
        decided_at=_entered(platform, evidence, known, ruling, answered),
    )
    report = platform.records.get(line.line, evidence.batch_id, "eval_report")
    page = decision_page(line, decision, report if isinstance(report, EvalReport) else None)
    decision = decision.model_copy(update={"page": platform.store.put_bytes(page.encode())})
    platform.tracker.decision(line, decision, page)
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
            text=alert_text(decision),
            line=decision.line,
        )
    )
