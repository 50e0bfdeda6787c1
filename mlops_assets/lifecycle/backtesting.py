"""A line's whole history decided again under another policy, and what its releases turned out to be worth.

Every decision is made again on the evidence it had: bounds are worked out again from the stored scores where the other
policy asks for other ones, and looks and openings count as they did then.
"""

from collections.abc import Sequence

from pydantic import Field

from mlops_assets.core.errors import PlatformError
from mlops_assets.core.line import Line
from mlops_assets.core.policy import Policy
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Check, Record
from mlops_assets.core.records.data import ValidatedData
from mlops_assets.core.records.decision import Decision, Evidence, Verdict
from mlops_assets.lifecycle.decide.promoting import SEALED, SEEDS
from mlops_assets.lifecycle.decide.recorded import analyst_reply, stored_policy
from mlops_assets.lifecycle.decide.replaying import recorded_decisions
from mlops_assets.lifecycle.decide.rules import verdict
from mlops_assets.lifecycle.evaluation.rescoring import rescored
from mlops_assets.lifecycle.worth import Worth, worth_of_releases

# The parts of a policy that numbers in the evidence depend on; any other part is about what is made of them.
NUMBERS = {"primary", "business", "protected", "critical_margin", "alpha", "resamples", "seed"}
BUDGETS = {"looks_budget", "openings_budget"}
UNKNOWABLE = (
    "A release that flips would have changed what came after it: later candidates were trained from it and measured "
    "against it. Every decision is made again on the evidence it had.",
    "People's answers, and the analyst's, are taken to be the same for the other policy's question.",
    "What the agent did not buy then (the sealed set, more seeds, other settings) is not bought now.",
)


class Retrial(Record):
    """One decision as it was, and as it would be under the other policy."""

    decision_id: str
    batch_id: str
    was: Verdict
    would_be: Verdict | None
    why: str = Field(description="The first check that comes out otherwise")
    version: int | None = Field(description="The version that it was released as")
    flips: bool
    remarks: tuple[str, ...] = ()


class Backtest(Record):
    """The history of a line under another policy."""

    line: str
    policy: str = Field(description="Digest of the other policy")
    retrials: tuple[Retrial, ...]
    worth: tuple[Worth, ...]
    undecided: int = Field(description="Batches that were refused before there was anything to decide")
    unknowable: tuple[str, ...] = UNKNOWABLE


def backtest(platform: Platform, line: Line, policy: Policy) -> Backtest:
    """Decide the whole history of a line again under another policy; nothing is recorded.

    Predictions that are not known yet are made, in processes as for an evaluation.
    """
    decisions = recorded_decisions(platform, line.line)
    versions = {each.decision_id: each.version for each in platform.versions.list(line.line) if each.decision_id}
    decided = {each.batch_id for each in decisions}
    return Backtest(
        line=line.line,
        policy=policy.digest,
        retrials=tuple(_again(platform, line, policy, each, versions.get(each.decision_id)) for each in decisions),
        worth=tuple(worth_of_releases(platform, line, policy, decisions)),
        undecided=sum(
            isinstance(data := platform.records.get(line.line, each.batch_id, "validated_data"), ValidatedData)
            and not data.accepted
            and each.batch_id not in decided
            for each in platform.batches.list(line.line)
        ),
    )


def _again(platform: Platform, line: Line, policy: Policy, decision: Decision, version: int | None) -> Retrial:
    made = Retrial(
        decision_id=decision.decision_id,
        batch_id=decision.batch_id,
        was=decision.verdict,
        would_be=None,
        why="",
        version=version,
        flips=False,
    )
    try:
        evidence = _evidence(platform, line, policy, decision)
    except PlatformError as error:
        return made.model_copy(update={"why": f"It cannot be decided again: {error}"})
    reply, remarks = analyst_reply(decision), []
    if reply is not None and (policy.analyst is None or policy.analyst.model not in _asked(decision)):
        reply = None
        remarks.append("The analyst's reply of then does not count: the policy has another analyst, or none.")
    ruling = verdict(evidence, policy, decision.review, reply)
    checks = (*ruling.gates, *ruling.statistics)
    failed = {check.name for check in checks if not check.passed}
    if policy.analyst is not None and reply is None and ruling.statistics and ruling.verdict != "REJECT":
        remarks.append("The analyst would be asked; what it would say is not known.")
    if failed and failed <= {SEALED, SEEDS}:
        remarks.append("More evidence would be bought first (sealed set, seeds); what it would show is not known.")
    if decision.review is not None and ruling.verdict != "APPROVE" and decision.review.approve:
        remarks.append("A person approved it, and would not be asked.")
    if decision.review is None and ruling.verdict == "HUMAN_REVIEW" and decision.verdict != "HUMAN_REVIEW":
        remarks.append("A person would be asked, and was not.")
    if decision.review is not None and verdict(evidence, policy, None, reply).verdict == "APPROVE":
        remarks.append("No person would be needed.")
    return made.model_copy(
        update={
            "would_be": ruling.verdict,
            "why": _first_change((*decision.gates, *decision.statistics), checks),
            "flips": ruling.verdict != decision.verdict,
            "remarks": tuple(remarks),
        }
    )


def _evidence(platform: Platform, line: Line, policy: Policy, decision: Decision) -> Evidence:
    """Return a decision's evidence under another policy, its numbers made again if they depend on what differs."""
    evidence = decision.evidence
    if policy.digest == decision.policy_digest:
        return evidence
    if _numbers(stored_policy(platform.store, decision.policy_digest)) != _numbers(policy):
        return rescored(platform, line, evidence, policy)
    return evidence.model_copy(update={"policy": policy.digest})


def _numbers(policy: Policy) -> object:
    return policy.model_dump(include=NUMBERS | BUDGETS), policy.gates.sample_degradation_threshold


def _asked(decision: Decision) -> set[str]:
    return {each.model for each in decision.exchanges if each.purpose == "verdict"}


def _first_change(before: Sequence[Check], after: Sequence[Check]) -> str:
    """Return what the first check that comes out otherwise says; one that was not made counts as passed."""
    passed = {check.name: check.passed for check in before}
    changed = [check for check in after if check.passed != passed.get(check.name, True)]
    return next((check.explanation for check in sorted(changed, key=lambda check: check.passed)), "")
