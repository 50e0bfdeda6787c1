"""What releases turned out to be worth: measured on data that arrived later, which neither version had seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from mlops_assets.core.dataset import read_items
from mlops_assets.core.digests import canonical_json
from mlops_assets.core.errors import PlatformError
from mlops_assets.core.line import Line
from mlops_assets.core.policy import Policy
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Item, Origin, ValidatedData
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.statistics import Scores, compare_all
from mlops_assets.lifecycle.evaluation import comparing
from mlops_assets.lifecycle.evaluation.predictions import predict
from mlops_assets.lifecycle.progress import progress_file


class Worth(Record):
    """A released version against the one before it, on data that arrived later and neither had seen.

    `delta` and its one-sided bounds are in the metric's unit, positive: the release was a gain. Without them,
    `not_measured` says why.
    """

    version: int
    previous: int | None
    metric: str
    delta: float | None = None
    lower: float | None = None
    upper: float | None = None
    items: int = 0
    origin: Origin | None = None
    sources: tuple[str, ...] = Field(default=(), description="Batches and sets that the items came from")
    not_measured: str = ""
    rolled_back: tuple[str, ...] = Field(default=(), description="Why it was rolled back from, each time it was")


@dataclass(frozen=True)
class _Fresh:
    """Items that came later, with where they came from."""

    name: str
    dataset: str
    origin: Origin


def worth_of_releases(platform: Platform, line: Line, policy: Policy, decisions: Sequence[Decision]) -> Iterator[Worth]:
    """Yield what each release of a line was worth, on later data, by the primary metric of a policy."""
    made = {each.decision_id: each for each in decisions}
    versions = {each.version: each for each in platform.versions.list(line.line)}
    for version in versions.values():
        decision = made.get(version.decision_id or "")
        if decision is None:
            continue
        previous = versions.get(decision.evidence.production_version or 0)
        rolled_back = [
            str(entry.body["reason"])
            for entry in platform.ledger.entries(line.line, "rolled_back")
            if entry.body["from"] == version.version
        ]
        worth = Worth(
            version=version.version,
            previous=previous and previous.version,
            metric=policy.primary.metric,
            rolled_back=tuple(rolled_back),
        )
        if previous is None:
            yield worth.model_copy(update={"not_measured": "It is the first version: there is none before it."})
            continue
        try:
            yield _measured(platform, line, policy, worth, (version, previous), decision, decisions)
        except PlatformError as error:
            yield worth.model_copy(update={"not_measured": str(error)})


def _measured(
    platform: Platform,
    line: Line,
    policy: Policy,
    worth: Worth,
    versions: tuple[Version, Version],
    decision: Decision,
    decisions: Sequence[Decision],
) -> Worth:
    seen, fresh = _seen(platform, line, decision), list(_later(platform, line, decision, decisions))
    family = platform.family(line.family)
    config = family.Config.model_validate(line.config)
    metric = comparing.primary_metric(family.metrics(config), line.model_copy(update={"policy": policy}))
    measure = comparing.measure(metric)
    columns: tuple[dict[str, list[list[float]]], ...] = ({}, {})
    clusters: list[str] = []
    used: list[_Fresh] = []
    progress = progress_file(platform, line.line, "backtest")
    for each in fresh:
        items = read_items(platform.store.folder(each.dataset))
        chosen = [at for at, item in enumerate(items) if _mark(item) not in seen]
        if not chosen:
            continue
        used.append(each)
        clusters += [items[at].cluster for at in chosen]
        for column, version in zip(columns, versions, strict=True):
            answers = predict(platform, line, version.servable, {"later": each.dataset}, progress).predictions["later"]
            scores = family.score([items[at] for at in chosen], [answers[at] for at in chosen], config)
            for name in measure.columns:
                column.setdefault(name, []).extend([one[name].numerator, one[name].weight] for one in scores)
        seen |= {_mark(items[at]) for at in chosen}
    if not used:
        return worth.model_copy(update={"not_measured": "No data arrived since that neither version had seen."})
    new, old = ({name: _columns(rows) for name, rows in column.items()} for column in columns)
    found = compare_all(
        {metric.name: measure},
        new,
        old,
        clusters,
        alpha=policy.alpha,
        margins={},
        resamples=policy.resamples,
        seed=policy.seed,
    ).get(metric.name)
    if found is None or found.delta is None:
        return worth.model_copy(update={"not_measured": f"The later data gives {metric.name} no weight."})
    origins = {each.origin for each in used}
    return worth.model_copy(
        update={
            "delta": found.delta,
            "lower": found.lower,
            "upper": found.upper,
            "items": len(clusters),
            "origin": origins.pop() if len(origins) == 1 else "mixed",
            "sources": tuple(each.name for each in used),
        }
    )


def _columns(rows: Sequence[Sequence[float]]) -> Scores:
    table = np.array(rows)
    return table[:, 0], table[:, 1]


def _later(platform: Platform, line: Line, decision: Decision, decisions: Sequence[Decision]) -> Iterator[_Fresh]:
    """Yield the data that a version is measured on: later batches that were released, later golden sets."""
    released = {each.batch_id for each in platform.versions.list(line.line)}
    before = platform.batches.get(line.line, decision.batch_id).sequence
    for batch in platform.batches.list(line.line):
        data = platform.records.get(line.line, batch.batch_id, "validated_data")
        if batch.sequence > before and batch.batch_id in released and isinstance(data, ValidatedData):
            yield _Fresh(f"batch {batch.batch_id}", data.dataset, data.origin)
    golden = {
        each.dataset: _Fresh(f"{each.name} set {each.dataset[:12]}", each.dataset, each.origin)
        for later in decisions
        for each in later.evidence.sets
        if each.kind == "golden"
    }
    known = _known_golden(decision, decisions)
    yield from (each for dataset, each in golden.items() if dataset not in known)


def _known_golden(decision: Decision, decisions: Sequence[Decision]) -> set[str]:
    """Return the golden sets there were up to a decision."""
    upto = next(at for at, each in enumerate(decisions) if each.decision_id == decision.decision_id)
    return {dataset for each in decisions[: upto + 1] for dataset in each.evidence.golden.values()}


def _seen(platform: Platform, line: Line, decision: Decision) -> set[str]:
    """Return the mark of every item that a version may have learnt from, or was judged on."""
    upto = platform.batches.get(line.line, decision.batch_id).sequence
    records: list[object] = [
        platform.records.get(line.line, batch.batch_id, "validated_data")
        for batch in platform.batches.list(line.line)
        if batch.sequence <= upto
    ]
    datasets = [each.dataset for each in records if isinstance(each, ValidatedData)]
    datasets += [each.dataset for each in decision.evidence.sets if each.kind != "holdout"]
    return {_mark(item) for dataset in dict.fromkeys(datasets) for item in read_items(platform.store.folder(dataset))}


def _mark(item: Item) -> str:
    """Return what an item is known again by: its fingerprints together, else its id."""
    return canonical_json(item.fingerprints) if item.fingerprints else item.id
