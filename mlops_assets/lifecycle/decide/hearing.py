"""What a language model's reply does to a verdict: it lowers it, or explains it, and cannot raise it.

The verdict after the hearing is the greater of two in the order APPROVE < HUMAN_REVIEW < REJECT: what the model
recommends, and a floor that is worked out before the model is heard, from evidence and policy alone. The floor is the
rule's verdict, except where the policy itself leaves a trade-off to the analyst (`analyst_may_approve_within`) and the
numbers lie within it. So no reply, whatever it says, can go below the floor.
"""

import re
from collections.abc import Sequence

from mlops_assets.core.policy import Policy, TradeOff
from mlops_assets.core.records.decision import AnalystReply, Evidence, Verdict
from mlops_assets.core.records.evaluation import SetResult
from mlops_assets.lifecycle.decide.gates import measured, primary, sets_of
from mlops_assets.lifecycle.decide.prompting import names
from mlops_assets.lifecycle.decide.pseudonyms import plain, shown
from mlops_assets.lifecycle.decide.ruling import GAIN, Ruling, question

CAUTION: Sequence[Verdict] = ("APPROVE", "HUMAN_REVIEW", "REJECT")
REASON_CHARACTERS = 600
CONCERN_CHARACTERS = 200
CONCERNS = 3
ROUNDING = 1e-9
ADDRESS = re.compile(r"\S*(?:://|www\.)\S*", re.IGNORECASE)


def heard(ruling: Ruling, reply: AnalystReply | None, evidence: Evidence, policy: Policy) -> Ruling:
    """Return the ruling after the analyst: never less cautious than rule and policy alone would have it.

    A failed gate is not discussed, and without a reply the rule stands.
    """
    if reply is None or not all(gate.passed for gate in ruling.gates):
        return ruling
    trade = granted(ruling, evidence, policy)
    verdict = max("APPROVE" if trade else ruling.verdict, reply.recommendation, key=CAUTION.index)
    reasons = (*ruling.reasons, *_words(ruling, reply, evidence, policy))
    if trade and verdict == "APPROVE":
        reasons = (_traded(trade, policy), *reasons)
    elif verdict != ruling.verdict:
        reasons = (f"The analyst lowered {ruling.verdict} to {verdict}.", *reasons)
    asked = question(evidence, reasons) if verdict == "HUMAN_REVIEW" else None
    return ruling.model_copy(update={"verdict": verdict, "reasons": reasons, "question": asked})


def granted(ruling: Ruling, evidence: Evidence, policy: Policy, *, confirmed: bool = True) -> TradeOff | None:
    """Return the trade-off that the policy leaves to the analyst in this case, if it leaves one.

    Every gate and every check has to hold but those of the primary metric's gain; and on every golden set, and on the
    sealed one where the line has one, the named metric's gain has to be real and worth it, the primary's loss bounded.
    Not `confirmed` asks whether it is worth opening a sealed set that was not opened yet.
    """
    if policy.analyst is None or ruling.verdict != "HUMAN_REVIEW" or not ruling.statistics:
        return None
    if any(not check.passed and not check.name.startswith(GAIN) for check in (*ruling.gates, *ruling.statistics)):
        return None
    golden, sealed = sets_of(evidence, "golden"), sets_of(evidence, "sealed")
    if not golden or (confirmed and evidence.sealed is not None and not sealed):
        return None
    for trade in policy.analyst_may_approve_within:
        if all(_worth(trade, each, evidence, policy) for each in evidence.sets if each.name in (*golden, *sealed)):
            return trade
    return None


def _worth(trade: TradeOff, seen: SetResult, evidence: Evidence, policy: Policy) -> bool:
    """Say whether one set shows the trade's gain, at its error and by the ladder's step, for no more than its loss."""
    gain, price = measured(evidence, trade.metric, seen.name), primary(evidence, policy, seen.name)
    allowed = policy.gain_alpha(seen.kind, sealed=evidence.sealed is not None)
    if gain is None or price is None or allowed is None or seen.gain_alpha is None:
        return False
    if gain.gain_lower is None or gain.delta is None or gain.error is None or price.lower is None:
        return False
    margin = max((each.margin for each in policy.business if each.metric == gain.metric), default=0.0)
    real = seen.gain_alpha <= allowed * (1 + ROUNDING) and gain.gain_lower > trade.gain
    return real and gain.delta >= max(margin, gain.error) and price.lower > -trade.loss


def _traded(trade: TradeOff, policy: Policy) -> str:
    return (
        f"The analyst approved within the policy: a gain in {trade.metric} above {trade.gain:.4f}, for a loss in "
        f"{policy.primary.metric} of less than {trade.loss:.4f}."
    )


def _words(ruling: Ruling, reply: AnalystReply, evidence: Evidence, policy: Policy) -> tuple[str, ...]:
    """Quote the reply for people: a model's words, marked as such, with names in place of ids."""
    known = {id: plain(name, 80) for id, name in names(evidence, ruling).items()}
    who = f"The analyst ({policy.analyst.model if policy.analyst else 'a language model'})"

    def quoted(text: str, length: int) -> str:
        words = shown(ADDRESS.sub("[address]", plain(text, length)), known).replace('"', "'")
        return f'"{plain(words, 2 * length)}"'

    concerns = [quoted(each, CONCERN_CHARACTERS) for each in reply.concerns[:CONCERNS]]
    said = f"{who} recommends {reply.recommendation}, in its own words: {quoted(reply.reason, REASON_CHARACTERS)}"
    return (said, *([f"{who} is concerned: {', '.join(concerns)}"] if concerns else []))
