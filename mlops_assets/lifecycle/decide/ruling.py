"""What the rule path says of a candidate, and the kinds of its checks."""

from mlops_assets.core.records import Check, Record, Verdict

JUDGEABLE = "judgeable"
NOT_WORSE = "not worse"
PROMOTABLE = "promotable"


class Ruling(Record):
    """What the rule path says of a candidate: verdict, reasons for a person, and every check behind them."""

    verdict: Verdict
    reasons: tuple[str, ...]
    gates: tuple[Check, ...]
    statistics: tuple[Check, ...] = ()
    question: str | None = None
