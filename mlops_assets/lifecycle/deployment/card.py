"""The model card: what a person must know of a version before trusting it, from the records alone."""

import re
from functools import cache
from typing import TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.data import ValidatedData
from mlops_assets.core.records.decision import Decision, Evidence
from mlops_assets.core.records.evaluation import Comparison, EvalReport
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle.decide.gates import primary, sets_of
from mlops_assets.lifecycle.decide.pseudonyms import plain, shown

LICENCE = "apache-2.0"
T = TypeVar("T")


def model_card(platform: Platform, line: Line, version: Version, decision: Decision | None) -> str:
    """Return the card of a version as Markdown; equal records give the equal card."""
    report = _record(platform, version, "eval_report", EvalReport)
    data = _record(platform, version, "validated_data", ValidatedData)
    candidate = _record(platform, version, "candidate_model", CandidateModel)
    measured = decision.evidence if decision else report
    origins = [each.origin for each in measured.comparisons] if measured else []
    return _template().render(
        line=line,
        version=version,
        decision=decision,
        report=report,
        data=data,
        measured=measured,
        candidate=candidate,
        seeds=_seeds(decision),
        sealed=_sealed(decision.evidence, line) if decision else None,
        exchanges=[each for each in decision.exchanges if each.purpose == "verdict"] if decision else [],
        said=lambda asked: shown(asked.reply.reason, asked.names),
        synthetic=any(origin != "real" for origin in [*origins, *([data.origin] if data else [])]),
        licence=line.config.get("licence", LICENCE),
        figure=_figure,
    )


def _seeds(decision: Decision | None) -> str:
    noise = decision.evidence.noise if decision else None
    if noise is None:
        return "a single seed"
    return (
        f"one of {len(noise.seeds)} seeds: gain in {noise.metric} {noise.mean:+.4f} with a deviation of "
        f"{noise.deviation:.4f}, lower bound {_figure(noise.lower, signed=True)}"
    )


def _sealed(evidence: Evidence, line: Line) -> Comparison | None:
    """Return what the sealed set showed, if it was opened."""
    found = (primary(evidence, line.policy, name) for name in sets_of(evidence, "sealed"))
    return next((each for each in found if each is not None), None)


def _cell(text: str) -> str:
    """Return text that came from elsewhere as one line that is no markup of a table, a link or HTML."""
    return re.sub(r"([|`<\[\]])", r"\\\1", plain(text, len(text)))


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
    environment.filters["cell"] = _cell
    return environment.get_template("deployment/card.md.j2")


def _figure(
    value: float | None, interval: tuple[float | None, float | None] | None = None, *, signed: bool = False
) -> str:
    if value is None:
        return "-"
    shape = "+.4f" if signed else ".4f"
    if interval is None or interval[0] is None or interval[1] is None:
        return format(value, shape)
    return f"{value:{shape}} ({interval[0]:{shape}} to {interval[1]:{shape}})"
