"""What the evaluation of two versions says of how differently they answer, so that a rollout is held against that."""

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
    """Return how differently two versions answered the same golden set; nothing known if no evaluation held both."""
    one, other = platform.versions.get(line.line, version), platform.versions.get(line.line, against)
    for report in _reports(platform, line, one, other):
        mine, its = _named(report, one.servable), _named(report, other.servable)
        golden = next((each for each in report.sets if each.kind == "golden"), None)
        if golden is None or mine is None or its is None:
            continue
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


def _shifts(ours: list[str], theirs: list[str]) -> dict[str, float]:
    now, before = Counter(ours), Counter(theirs)
    return {label: (now[label] - before[label]) / len(ours) for label in {*now, *before}}


def _named(report: EvalReport, servable: str) -> System | None:
    return next((name for name, each in report.systems.items() if each.servable == servable), None)


def _reports(platform: Platform, line: Line, *versions: Version) -> Iterator[EvalReport]:
    for version in versions:
        if version.batch_id is not None:
            report = platform.records.get(line.line, version.batch_id, "eval_report")
            if isinstance(report, EvalReport):
                yield report
