"""The model card: what a person must know of a version before trusting it, from the records alone."""

from functools import cache
from typing import TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from mlops_assets.core.line import Line
from mlops_assets.core.ports import Platform, Version
from mlops_assets.core.records import CandidateModel, Decision, EvalReport, ValidatedData

LICENCE = "apache-2.0"
T = TypeVar("T")


def model_card(platform: Platform, line: Line, version: Version, decision: Decision | None) -> str:
    """Return the card of a version as Markdown; equal records give the equal card."""
    report = _record(platform, version, "eval_report", EvalReport)
    data = _record(platform, version, "validated_data", ValidatedData)
    origins = [each.origin for each in report.comparisons] if report else []
    return _template().render(
        line=line,
        version=version,
        decision=decision,
        report=report,
        data=data,
        candidate=_record(platform, version, "candidate_model", CandidateModel),
        synthetic=any(origin != "real" for origin in [*origins, *([data.origin] if data else [])]),
        licence=line.config.get("licence", LICENCE),
        figure=_figure,
    )


def _record(platform: Platform, version: Version, asset: str, kind: type[T]) -> T | None:
    if version.batch_id is None:
        return None
    found = platform.records.get(version.line, version.batch_id, asset)
    return found if isinstance(found, kind) else None


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("mlops_assets", "lifecycle"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template("card.md.j2")


def _figure(
    value: float | None, interval: tuple[float | None, float | None] | None = None, *, signed: bool = False
) -> str:
    if value is None:
        return "-"
    shape = "+.4f" if signed else ".4f"
    if interval is None or interval[0] is None or interval[1] is None:
        return format(value, shape)
    return f"{value:{shape}} ({interval[0]:{shape}} to {interval[1]:{shape}})"
