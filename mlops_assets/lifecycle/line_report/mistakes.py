"""Where the model that serves is wrong: read from the evaluation that measured it last, nothing is scored again."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlops_assets.core.family import Family, MetricSpec
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.evaluation import EvalReport, SetResult, System
from mlops_assets.lifecycle.evaluation.comparing import item_metric, primary_metric
from mlops_assets.lifecycle.evaluation.examples import Shown, shown_items
from mlops_assets.lifecycle.history import Chain, ScoredItem, scored_items
from mlops_assets.lifecycle.line_report.content import Contributor, Flips, Matrix, Mistake, Mistakes, SliceRow
from mlops_assets.lifecycle.line_report.contest import History, standing

SHOWN_MISTAKES = 15
SHOWN_SLICES = 12
LEAST_SLICE = 10  # items; smaller ones are bad by chance
SHOWN_FLIPS = 6
RECENT = 50  # batches whose releases and contributors are looked at


def mistakes(platform: Platform, line: Line, history: History) -> Mistakes:
    """Collect the errors of the version that serves, or, where none does, of the newest candidate."""
    reader = _reader(platform, line)
    metric = reader.metric
    version, found = _measured(platform, line, history)
    said = Mistakes(
        version=version,
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        labelled=reader.labelled,
        flips=tuple(_flips(reader, history[-RECENT:])),
        contributors=tuple(_contributors(reader, history[-RECENT:])),
    )
    if found is None:
        return said
    report, system = found
    sets = [each for each in report.sets if each.kind != "holdout"]
    answered = [(each, item) for each in sets for item in reader.scored(each, system)]
    wrong = [(each, item) for each, item in answered if reader.is_wrong(item, system)]
    wrong.sort(key=lambda pair: reader.badness(pair[1], system))
    return said.model_copy(
        update={
            "batch_id": report.batch_id,
            "matrices": tuple(_matrices(report, system)),
            "worst": reader.mistakes(wrong[:SHOWN_MISTAKES], system),
            "wrong": len(wrong),
            "scored": len(answered),
            "slices": tuple(_slices(report, system, metric.name)),
        }
    )


@dataclass(frozen=True)
class Reader:
    """Reads stored scores of one metric; where every item has one label, another label is what is wrong."""

    platform: Platform
    family: Family
    metric: MetricSpec
    labelled: bool

    def scored(self, result: SetResult, *systems: System) -> list[ScoredItem]:
        """Return the items of a set on which every named system has a score of the metric."""
        return [
            item
            for item in scored_items(self.platform, result)
            if all(each in item.systems and self.metric.name in item.systems[each].scores for each in systems)
        ]

    def value(self, scores: Sequence[tuple[float, float]]) -> float | None:
        """Return the metric over items of (numerator, weight); None where they weigh nothing."""
        weight = sum(each[1] for each in scores)
        ratio = sum(each[0] for each in scores) / weight if weight else None
        return math.sqrt(ratio) if ratio is not None and self.metric.root else ratio

    def loss(self, item: ScoredItem, system: System) -> float:
        """Return how far an item is from a right answer, in the metric's numerator."""
        numerator, weight = item.systems[system].scores[self.metric.name]
        return weight - numerator if self.metric.higher_is_better else numerator

    def is_wrong(self, item: ScoredItem, system: System) -> bool:
        """Say whether an answer is another label than the right one, or, without labels, not quite right."""
        if self.labelled:
            return self.family.show(item.systems[system].prediction) != self.family.show(item.reference)
        return self.loss(item, system) > 0

    def badness(self, item: ScoredItem, system: System) -> tuple[float, float, str]:
        """Return what sorts the worst items first: the largest loss, then the surest answer."""
        return -self.loss(item, system), -(self.confidence(item, system) or 0.0), item.item

    def confidence(self, item: ScoredItem, system: System) -> float | None:
        """Return how sure a system was, where its predictions say so."""
        prediction = item.systems[system].prediction
        sure = prediction.get("confidence") if isinstance(prediction, dict) else None
        return float(sure) if isinstance(sure, int | float) else None

    def mistakes(
        self, chosen: Sequence[tuple[SetResult, ScoredItem]], system: System, before: System | None = None
    ) -> tuple[Mistake, ...]:
        """Describe items with what can be shown of their input."""
        pictures: dict[str, dict[str, Shown]] = {}
        for result in {each.name: each for each, _ in chosen}.values():
            wanted = [item.item for each, item in chosen if each.name == result.name]
            pictures[result.name] = shown_items(self.platform, result.dataset, wanted)
        return tuple(
            Mistake(
                set_name=each.name,
                item=item.item,
                reference=self.family.show(item.reference),
                before=self.family.show(item.systems[before].prediction) if before else None,
                prediction=self.family.show(item.systems[system].prediction),
                score=self.value([item.systems[system].scores[self.metric.name]]),
                confidence=self.confidence(item, system),
                origin=each.origin,
                shown=pictures[each.name].get(item.item, Shown()),
            )
            for each, item in chosen
        )


def _reader(platform: Platform, line: Line) -> Reader:
    family = platform.family(line.family)
    config = family.Config.model_validate(line.config)
    metrics = family.metrics(config)
    return Reader(platform, family, item_metric(metrics, primary_metric(metrics, line)), bool(family.labels(config)))


def _measured(platform: Platform, line: Line, history: History) -> tuple[int | None, tuple[EvalReport, System] | None]:
    live = platform.versions.pointer(line.line).roles.get("production")
    if live is not None:
        return live, standing(history, platform.versions.get(line.line, live).servable)
    newest = next((made.report for _, made in reversed(history) if made.report and made.report.infra_ok), None)
    return None, (newest, "candidate") if newest else None


def _matrices(report: EvalReport, system: System) -> Iterator[Matrix]:
    for each in report.confusions:
        counts = {"candidate": each.candidate, "production": each.production}.get(system)
        if counts and each.set_name != "holdout":
            yield Matrix(set_name=each.set_name, origin=each.origin, labels=each.labels, counts=counts)


def _slices(report: EvalReport, system: System, metric: str) -> list[SliceRow]:
    """Return the slices of at least 10 items with the lowest scores, the worst first."""
    rows = [
        (
            row.higher_is_better,
            SliceRow(set_name=row.set_name, slice=row.slice, value=value, n=row.n, origin=row.origin),
        )
        for row in report.comparisons
        if row.slice
        and row.n >= LEAST_SLICE
        and row.metric == metric
        and row.set_name != "holdout"
        and (value := getattr(row, system)) is not None
    ]
    rows.sort(key=lambda pair: pair[1].value if pair[0] else -pair[1].value)
    return [row for _, row in rows[:SHOWN_SLICES]]


def _flips(reader: Reader, history: History) -> Iterator[Flips]:
    """Compare each release with the version before it, item by item, in the evaluation it was released on."""
    for _, made in history:
        production = made.report.systems.get("production") if made.report else None
        if made.report is None or made.deployed is None or production is None or production.version is None:
            continue
        for golden in (each for each in made.report.sets if each.kind == "golden"):
            items = reader.scored(golden, "candidate", "production")
            moved = [(reader.loss(item, "candidate") - reader.loss(item, "production"), item) for item in items]
            worse = sorted((pair for pair in moved if pair[0] > 0), key=lambda pair: (-pair[0], pair[1].item))
            yield Flips(
                earlier=production.version,
                later=made.deployed.version,
                worse=len(worse),
                better=sum(change < 0 for change, _ in moved),
                same=sum(change == 0 for change, _ in moved),
                origin=golden.origin,
                examples=reader.mistakes(
                    [(golden, item) for _, item in worse[:SHOWN_FLIPS]], "candidate", "production"
                ),
            )


def _contributors(reader: Reader, history: History) -> Iterator[Contributor]:
    """Add up the batches of each contributor; a low value means hard data, or labels the model does not share."""
    people: dict[str, list[Chain]] = {}
    for batch, made in history:
        if made.data is not None:
            people.setdefault(batch.contributor, []).append(made)
    for name, chains in sorted(people.items()):
        data = [made.data for made in chains if made.data]
        scores = [score for made in chains if made.report for score in _held_back(reader, made.report)]
        yield Contributor(
            name=name,
            batches=len(data),
            kept=sum(each.kept for each in data),
            total=sum(each.total for each in data),
            quality_score=sum(each.quality_score for each in data) / len(data),
            held_back=len(scores),
            value=reader.value(scores),
            origins=tuple(sorted({each.origin for each in data})),
        )


def _held_back(reader: Reader, report: EvalReport) -> list[tuple[float, float]]:
    system: System = "production" if "production" in report.systems else "baseline"
    return [
        item.systems[system].scores[reader.metric.name]
        for each in report.sets
        if each.kind == "holdout"
        for item in reader.scored(each, system)
    ]
