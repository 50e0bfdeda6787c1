"""Failure analysis: why a candidate was not simply approved and what would help, from the evidence alone.

Every sentence carries its own numbers.
"""

from collections.abc import Iterable

from mlops_assets.core.policy import Policy
from mlops_assets.core.records.decision import Cause, Decision, Evidence, FailureAnalysis
from mlops_assets.lifecycle.decide.causes import causes_of
from mlops_assets.lifecycle.decide.pseudonyms import plain
from mlops_assets.lifecycle.decide.remedies import remedies, wanted
from mlops_assets.lifecycle.decide.ruling import Ruling

PARAGRAPH = 900


def analyse(evidence: Evidence, policy: Policy, ruling: Ruling) -> FailureAnalysis:
    """Return causes, the gravest first, what would help, and what would have to be true to approve; pure."""
    causes = tuple(causes_of(evidence, policy, ruling))
    would_help = tuple(dict.fromkeys(remedies(evidence, policy, ruling)))
    return FailureAnalysis(
        paragraph=_paragraph(evidence, ruling, causes, would_help),
        causes=causes,
        would_help=would_help,
        to_approve=tuple(wanted(check, evidence) for check in (*ruling.gates, *ruling.statistics) if not check.passed),
    )


def alert_text(decision: Decision) -> str:
    """Return what an alert says of a decision: one paragraph of its analysis, and how to answer where it waits."""
    said = decision.analysis.paragraph if decision.analysis else " ".join(decision.reasons)
    if decision.review is not None and decision.analysis is not None:
        said = f"{decision.reasons[0]} {said}"
    if not decision.pending:
        return said
    known = decision.decision_id[:12]
    return (
        f"{said}\nThe evidence and what would have to be true: `mlops reviews show {known}`. "
        f"Answer: `mlops reviews approve {known} --reason TEXT`, or reject."
    )


def _paragraph(evidence: Evidence, ruling: Ruling, causes: Iterable[Cause], would_help: tuple[str, ...]) -> str:
    """Say the verdict, the gravest cause of each kind, and the best help, in at most `PARAGRAPH` characters."""
    said = "was rejected" if ruling.verdict == "REJECT" else "was not approved without a person"
    text = f"Batch {evidence.batch_id} of {evidence.line} {said}."
    origins = {each.origin for each in (*evidence.sets, *evidence.comparisons)}
    some = " All of it is measured on synthetic data." if origins == {"synthetic"} else " Some of it is synthetic data."
    ending = "" if origins <= {"real"} else some
    if would_help:
        ending = " " + plain(f"What would help: {' '.join(would_help[:2])}", PARAGRAPH // 3) + ending
    gravest: dict[str, Cause] = {}
    for cause in causes:
        gravest.setdefault(cause.kind, cause)
    for at, cause in enumerate(gravest.values()):
        room = PARAGRAPH - len(text) - len(ending) - 1
        if len(cause.text) <= room:
            text += f" {cause.text}"
        elif at == 0:
            text += f" {plain(cause.text, room)}"
    return text + ending
