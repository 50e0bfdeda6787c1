"""What the rule path says of a candidate, and the kinds of its checks."""

from collections.abc import Iterable

from mlops_assets.core.records.base import Check, Record
from mlops_assets.core.records.decision import Evidence, Verdict
from mlops_assets.core.records.evaluation import Comparison

JUDGEABLE = "judgeable"
NOT_WORSE = "not worse"
PROMOTABLE = "promotable"
GAIN = f"{PROMOTABLE}: gain in"  # how the names of the checks begin that the primary metric's gain has to pass


class Ruling(Record):
    """What the rule path says of a candidate: verdict, reasons for a person, and every check behind them."""

    verdict: Verdict
    reasons: tuple[str, ...]
    gates: tuple[Check, ...]
    statistics: tuple[Check, ...] = ()
    question: str | None = None


def served(evidence: Evidence) -> str:
    """Say what production is."""
    return "nothing (a first version)" if evidence.production is None else f"version {evidence.production_version}"


def change(comparison: Comparison) -> str:
    """Put a comparison into words: the two figures, the change, and the bounds of the gain (positive is better)."""
    said = f"{comparison.metric} on {comparison.set_name} is {comparison.candidate:.4f}"
    if comparison.production is None or comparison.delta is None:
        return said
    word = "better" if comparison.delta >= 0 else "worse"
    said += f" against {comparison.production:.4f} in production, {abs(comparison.delta):.4f} {word}"
    if comparison.lower is not None and comparison.upper is not None:
        said += f" (gain between {comparison.lower:+.4f} and {comparison.upper:+.4f}, n={comparison.n}"
        said += f", {comparison.origin} data)" if comparison.origin != "real" else ")"
    return said


def question(evidence: Evidence, reasons: Iterable[str]) -> str:
    """Return what a person is asked."""
    return f"Shall batch {evidence.batch_id} replace {served(evidence)} of {evidence.line}? " + " ".join(reasons)
