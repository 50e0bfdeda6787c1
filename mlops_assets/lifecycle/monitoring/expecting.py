"""What the evaluation of two versions says of how differently they answer, so that a rollout is held against that.

To answer otherwise than production is what a better version is for. It excuses none that the evaluation showed to be
worse: an old version that somebody rolls out again is held against production's own answers.
"""

from collections import Counter
from collections.abc import Iterator

from mlops_assets.core.canary import Expected
from mlops_assets.core.errors import Corrupt, NotFound
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.evaluation import EvalReport, System
from mlops_assets.lifecycle.history import scored_items


def expected(platform: Platform, line: Line, version: int, against: int) -> Expected:
    """Return how differently two versions answered the same golden set; nothing known if no evaluation held both.

    If the first was surely worse there, by the policy's metric and error, it may not answer differently at all.
    """
    one, other = platform.versions.get(line.line, version), platform.versions.get(line.line, against)
    for report in _reports(platform, line, one, other):
        mine, its = _named(report, one.servable), _named(report, other.servable)
        golden = next((each for each in report.sets if each.kind == "golden"), None)
        if golden is None or mine is None or its is None:
            continue
        if _worse(line, report, golden.name, mine, its):
            return Expected(disagreement=0.0)
        try:
            rows = scored_items(platform, golden)
        except (NotFound, Corrupt):
            continue
        family = platform.family(line.family)
        ours, theirs = ([family.show(row.systems[name].prediction) for row in rows] for name in (mine, its))
        if rows:
            return Expected(
                disagreement=sum(a != b for a, b in zip(ours, theirs, strict=True)) / len(rows),
                labels=_shifts(ours, theirs) if family.labels(family.Config.model_validate(line.config)) else {},
            )
    return Expected()


def _worse(line: Line, report: EvalReport, golden: str, mine: System, its: System) -> bool:
    """Say whether one system was surely worse than the other; an evaluation compares candidate and production alone."""
    wanted = (line.policy.primary.metric, golden, None)
    compared = next((each for each in report.comparisons if (each.metric, each.set_name, each.slice) == wanted), None)
    if compared is None or compared.lower is None or compared.upper is None:
        return False
    return {("candidate", "production"): compared.upper < 0, ("production", "candidate"): compared.lower > 0}.get(
        (mine, its), False
    )


def _shifts(ours: list[str], theirs: list[str]) -> dict[str, float]:
    now, before = Counter(ours), Counter(theirs)
    return {label: (now[label] - before[label]) / len(ours) for label in {*now, *before}}


def _named(report: EvalReport, servable: str) -> System | None:
    """Return which system a servable was; production rather than the baseline, where it was both."""
    order: tuple[System, ...] = ("candidate", "production", "baseline")
    return next((each for each in order if each in report.systems and report.systems[each].servable == servable), None)


def _reports(platform: Platform, line: Line, *versions: Version) -> Iterator[EvalReport]:
    for version in versions:
        if version.batch_id is not None:
            report = platform.records.get(line.line, version.batch_id, "eval_report")
            if isinstance(report, EvalReport):
                yield report
