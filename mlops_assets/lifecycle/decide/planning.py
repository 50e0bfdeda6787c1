"""What more evidence is worth buying: the agent's plan, as a pure function of ruling, evidence and policy.

Evidence is bought where it can settle something and the policy's budget for the batch allows it. A candidate that
would be promoted but for a condition that a purchase can meet buys just that, the sealed set last, for it wears out;
also where a person confirms every release, who then sees what the sealed set says. A gain that is unclear, with nothing
else against the candidate, is looked at more closely, then trained for again with other settings. Everything else is a
person's matter, or clear already.
"""

from mlops_assets.core.policy import Policy
from mlops_assets.core.records.decision import Evidence
from mlops_assets.core.records.purchases import Tool
from mlops_assets.lifecycle.decide.gates import sets_of
from mlops_assets.lifecycle.decide.hearing import granted
from mlops_assets.lifecycle.decide.promoting import AUTOMATIC, SEALED, SEEDS
from mlops_assets.lifecycle.decide.ruling import GAIN, Ruling

WHY: dict[Tool, str] = {
    "sealed_set": "Every other condition of a promotion holds; what was never looked at has to confirm it.",
    "seeds": "It would be promoted if its gain is not the luck of one seed.",
    "slice_report": "The gain is unclear: does a part of the set, or a single speaker, make it so?",
    "retrain": "The gain is unclear, and the policy names other settings to try.",
}


def next_purchase(ruling: Ruling, evidence: Evidence, policy: Policy) -> Tool | None:
    """Return the one thing to buy now; None if nothing that can be afforded would settle anything."""
    failed = {check.name for check in (*ruling.gates, *ruling.statistics) if not check.passed} - {AUTOMATIC}
    if not ruling.statistics or not failed:
        return None
    if failed <= {SEALED, SEEDS}:
        return _confirming(failed, evidence, policy)
    if failed <= {*_unclear(evidence, failed), SEALED, SEEDS}:
        if _left_to_the_analyst(ruling, evidence, policy):
            return _confirming({SEALED}, evidence, policy) if SEALED in failed else None
        return _clarifying(evidence, policy)
    return None


def spent(evidence: Evidence) -> float:
    """Return what was spent on the batch, in the policy's units."""
    return sum(each.cost for each in evidence.purchases)


def _confirming(failed: set[str], evidence: Evidence, policy: Policy) -> Tool | None:
    """Buy what stands between a candidate and its promotion; nothing if not all of it can be had."""
    trained = len(evidence.noise.seeds) if evidence.noise else 1
    missing = max(policy.min_seeds - trained, 0) if SEEDS in failed else 0
    if SEEDS in failed and not missing:
        return None
    sealed = 1 if SEALED in failed and not _bought("sealed_set", evidence) else 0
    paid = sum(each.tool == "seeds" and each.candidate == evidence.candidate for each in evidence.purchases)
    owed = max(missing - max(paid - (trained - 1), 0), 0) * policy.inquiry.seeds + sealed * policy.inquiry.sealed_set
    if spent(evidence) + owed > policy.inquiry.budget or (sealed and evidence.openings >= policy.openings_budget):
        return None
    return "seeds" if missing else "sealed_set"


def _clarifying(evidence: Evidence, policy: Policy) -> Tool | None:
    """Buy the slice report unless it takes what a re-training needs, then the re-training."""
    left, inquiry = policy.inquiry.budget - spent(evidence), policy.inquiry
    report = 0.0 if _bought("slice_report", evidence) else inquiry.slice_report
    training = 0.0 if _bought("retrain", evidence) else inquiry.retrain
    trainable = (
        evidence.attempt < len(policy.retrain_with) and evidence.looks < policy.looks_budget and training <= left
    )
    if evidence.slices is None and report + (training if trainable else 0.0) <= left:
        return "slice_report"
    return "retrain" if trainable else None


def _left_to_the_analyst(ruling: Ruling, evidence: Evidence, policy: Policy) -> bool:
    """Say whether the analyst may settle a trade-off, once the sealed set confirms its numbers where there is one."""
    checks = tuple(check for check in ruling.statistics if check.name != SEALED)
    return granted(ruling.model_copy(update={"statistics": checks}), evidence, policy, confirmed=False) is not None


def _unclear(evidence: Evidence, failed: set[str]) -> set[str]:
    """Return the failed conditions that are about a gain on a golden set."""
    golden = tuple(f" on {name}" for name in sets_of(evidence, "golden"))
    return {name for name in failed if name.startswith(GAIN) and name.endswith(golden)}


def _bought(tool: Tool, evidence: Evidence) -> bool:
    """Say whether a thing was paid for already, for this candidate: a crash may have kept it from being used."""
    own = [each for each in evidence.purchases if (each.tool, each.candidate) == (tool, evidence.candidate)]
    return any(tool != "sealed_set" or each.gave == evidence.sealed for each in own)
