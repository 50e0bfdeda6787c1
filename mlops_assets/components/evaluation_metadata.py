"""What a person sees of an evaluation in the Dagster UI: metrics with their intervals, confusions, items that moved."""

from mlops_assets.components.display import Metadata, picture, table
from mlops_assets.core.records.evaluation import Comparison, EvalReport, ItemChange
from mlops_assets.lifecycle.evaluation.report import intervals_png


def measured(record: EvalReport, metric: str) -> Metadata:
    """Return what was measured of a candidate; `metric`, the line's primary one, comes first."""
    whole = [each for each in record.comparisons if each.slice is None]
    return {
        **_headline(record, metric),
        "metrics": table([_compared(each) for each in whole]),
        "intervals": picture(intervals_png(record)),
        **_classes(record),
        **({"worst items": table([_changed(each) for each in record.worst])} if record.worst else {}),
        **({"best items": table([_changed(each) for each in record.best])} if record.best else {}),
        "scorer": record.scorer,
    }


def _headline(record: EvalReport, metric: str) -> Metadata:
    golden = {each.name for each in record.sets if each.kind == "golden"}
    return {
        f"{metric} {system}": value
        for each in record.comparisons
        if each.metric == metric and each.slice is None and each.set_name in golden
        for system in ("candidate", "production", "baseline")
        if (value := getattr(each, system)) is not None
    }


def _compared(each: Comparison) -> dict[str, str | int]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.4f}"

    low, high = each.candidate_interval or (None, None)
    return {
        "set": each.set_name,
        "metric": each.metric,
        "baseline": number(each.baseline),
        "classical": number(each.classical),
        "production": number(each.production),
        "candidate": number(each.candidate),
        "interval": f"{number(low)} to {number(high)}" if low is not None else "",
        "gain": number(each.delta),
        "gain from": number(each.lower),
        "gain to": number(each.upper),
        "n": each.n,
        "data": each.origin,
    }


def _classes(record: EvalReport) -> Metadata:
    """Return what is confused, how far confidence is from accuracy, and what compression cost, where it was counted."""
    pairs = [
        {
            "set": each.set_name,
            "label": pair.label,
            "taken for": pair.predicted,
            "before": _share(pair.production),
            "after": _share(pair.candidate),
            "change": "" if pair.delta is None else f"{pair.delta:+.1%}",
            "from": _share(pair.lower),
            "to": _share(pair.upper),
            "n": pair.n,
        }
        for each in record.confusions
        for pair in each.pairs
    ]
    calibrated = [
        {"set": each.set_name, "system": each.system, "calibration error": each.error} for each in record.calibrations
    ]
    compressed = [
        {
            "set": each.set_name,
            "agreement": _share(each.agreement),
            f"change in {each.metric}": f"{each.delta:+.4f}",
            "size": f"{each.size_ratio:.2f} of full precision",
            "latency": f"{each.latency_ratio:.2f} of full precision",
        }
        for each in record.compression
    ]
    found = {"confusions that moved": pairs, "calibration": calibrated, "compression": compressed}
    return {name: table(rows) for name, rows in found.items() if rows}


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _changed(each: ItemChange) -> dict[str, str | float]:
    return {
        "set": each.set_name,
        "item": each.item,
        "reference": each.reference,
        "before": each.production,
        "after": each.candidate,
        "change": each.change,
    }
