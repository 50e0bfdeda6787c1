"""How good a version was found to be: the evaluation that its release was decided by, or a later one's other side."""

from typing import Literal

from mlops_assets.core.errors import NotFound
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.evaluation import EvalReport, SetKind


class Score(Record):
    """One metric of one evaluation set, with its interval where one was worked out."""

    metric: str
    set_name: str
    kind: SetKind
    value: float
    interval: tuple[float, float] | None
    n: int
    origin: str


class Scored(Record):
    """The scores of a version, and the batch whose evaluation they are from."""

    line: str
    version: int
    batch_id: str
    decision_id: str | None
    metrics: dict[str, float]
    scores: tuple[Score, ...]


def scored(platform: Platform, line: Line, number: int) -> Scored:
    """Return the scores of a version; NotFound if there is no such version, or it was never evaluated.

    A base model has no evaluation of its own: it was the production side of the batches that came next.
    """
    version = platform.versions.get(line.line, number)
    batches = [version.batch_id] if version.batch_id else [each.batch_id for each in platform.batches.list(line.line)]
    for batch_id in batches:
        report = platform.records.get(line.line, batch_id, "eval_report")
        if isinstance(report, EvalReport) and (side := _side(report, version)):
            scores = _scores(report, side)
            golden = {each.metric: each.value for each in scores if each.kind == "golden"}
            return Scored(
                line=line.line,
                version=number,
                batch_id=batch_id,
                decision_id=version.decision_id,
                metrics=golden,
                scores=scores,
            )
    raise NotFound(
        f"Version {number} of {line.line} was not evaluated: it is the base model, and no batch has come since.",
        f"`mlops submit {line.line} PATH` a batch; its evaluation scores both.",
    )


def _side(report: EvalReport, version: Version) -> Literal["candidate", "production"] | None:
    for side in ("candidate", "production"):
        system = report.systems.get(side)
        if system is not None and system.servable == version.servable:
            return side
    return None


def _scores(report: EvalReport, side: Literal["candidate", "production"]) -> tuple[Score, ...]:
    sets = {each.name: each for each in report.sets}
    found = []
    for each in report.comparisons:
        value = getattr(each, side)
        if each.slice is None and value is not None:
            found.append(
                Score(
                    metric=each.metric,
                    set_name=each.set_name,
                    kind=sets[each.set_name].kind,
                    value=value,
                    interval=getattr(each, f"{side}_interval"),
                    n=each.n,
                    origin=each.origin,
                )
            )
    return tuple(found)
