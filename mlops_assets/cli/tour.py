"""What the demo's table says of a line, read from its records: verdicts, and the primary metric before and after."""

from collections.abc import Sequence
from typing import Any

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.evaluation import Comparison, EvalReport

BESIDE = ("base", "classical")


def cells(platform: Platform, line: Line, documents: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return verdicts, metric, before, after, bounds, origin, and the systems beside; of the last batch released."""
    verdicts = ", ".join(_verdict(each) for each in documents) or "none"
    released = [each for each in documents if each["deployment_status"] == "SUCCESS"]
    found = _primary(platform, line, released[-1]["batch_id"]) if released else None
    name = line.policy.primary.metric
    if found is None:
        return (verdicts, name, *("-",) * (4 + len(BESIDE)))
    arrow = "↑" if found.higher_is_better else "↓"
    bounds = "-" if found.lower is None or found.upper is None else f"{found.lower:+.3f} .. {found.upper:+.3f}"
    return (
        verdicts,
        f"{name} {arrow}",
        _figure(found.production),
        _figure(found.candidate),
        f"{bounds} (n={found.n})",
        found.origin,
        _figure(found.baseline),
        _figure(found.classical),
    )


def batch_cells(document: dict[str, Any]) -> tuple[object, ...]:
    """Return line, batch, kept of all items, end, and the first reason."""
    items = document["items"] or {"kept": 0, "total": 0}
    reason = document["reasons"][0] if document["reasons"] else ""
    kept = f"{items['kept']}/{items['total']}"
    return document["line"], document["batch_id"], kept, end(document), reason


def end(document: dict[str, Any]) -> str:
    """Return how a batch ended, in words."""
    version = f", now v{document['version']}" if document["version"] else ""
    return f"{document['verdict'] or 'quarantined for its data'}: {document['deployment_status']}{version}"


def _verdict(document: dict[str, Any]) -> str:
    said = document["verdict"] or ("QUARANTINED" if document["quarantine_path"] else document["status"])
    return f"{said} v{document['version']}" if document["version"] else said


def _primary(platform: Platform, line: Line, batch_id: str) -> Comparison | None:
    """Return the comparison that the policy decided by: the primary metric on the golden set."""
    report = platform.records.get(line.line, batch_id, "eval_report")
    if not isinstance(report, EvalReport):
        return None
    golden = {each.name for each in report.sets if each.kind == "golden"}
    rows = (each for each in report.comparisons if each.slice is None and each.set_name in golden)
    return next((each for each in rows if each.metric == line.policy.primary.metric), None)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
