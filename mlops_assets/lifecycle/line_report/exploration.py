"""The data of a line: what came in, what was kept of it, and how it compares with the set that decides."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.family import Family
from mlops_assets.core.line import Line
from mlops_assets.core.ports.intake import Batch
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import Item, Origin, Severity
from mlops_assets.core.records.evaluation import SetKind
from mlops_assets.lifecycle import status
from mlops_assets.lifecycle.evaluation.evaluation_sets import evaluation_sets
from mlops_assets.lifecycle.evaluation.examples import shown
from mlops_assets.lifecycle.history import Chain, spread_items
from mlops_assets.lifecycle.intake import archive_rules, validate
from mlops_assets.lifecycle.line_report.content import (
    Balance,
    BatchRow,
    Distribution,
    Example,
    Exploration,
    Reason,
    Source,
)
from mlops_assets.lifecycle.training.split import sample

EXPLORED_BATCHES = 20
MOST_ITEMS = 5_000
MOST_VALUES, SHOWN_VALUES = 16, 6  # of a facet with more values than that, few tell enough
SHOWN_QUANTITIES = 6
SHOWN_EXAMPLES = 12
BINS = 24
TAIL = 99  # percentile from which values share the last bin
GOLDEN, BATCHES = "golden", "batches"


@dataclass(frozen=True)
class Looked:
    """A source with its items (of many, some of all parts), and the stored dataset they are in."""

    name: str
    kind: SetKind | None
    origin: Origin
    dataset: str
    total: int
    items: Sequence[Item]
    accepted: bool


def exploration(platform: Platform, line: Line, history: Sequence[tuple[Batch, Chain]]) -> Exploration:
    """Describe the batches of a line, the items of the latest ones, and its evaluation sets."""
    family = platform.family(line.family)
    recent = history[-EXPLORED_BATCHES:]
    sets = [
        _look(platform, each.name, each.kind, each.origin, each.dataset) for each in evaluation_sets(platform, line)
    ]
    found = [
        _look(platform, batch.batch_id, None, made.data.origin, made.data.dataset, made.data.accepted)
        for batch, made in recent
        if made.data is not None
    ]
    batches = [each for each in found if each.items]
    return Exploration(
        batches=tuple(_batch(platform, line, batch, made) for batch, made in history),
        left_out=len(history) - len(recent),
        sources=tuple(
            Source(name=each.name, kind=each.kind, origin=each.origin, items=each.total, looked_at=len(each.items))
            for each in (*sets, *batches)
        ),
        balances=tuple(_balances(family, line, [*sets, *batches])),
        distributions=tuple(_distributions(family, sets, batches)),
        reasons=tuple(_reasons(family, recent)),
        examples=tuple(
            _examples(platform, family, next((each for each in reversed(batches) if each.accepted), sets[0]))
        ),
        min_quality=line.policy.data.min_quality,
    )


def _look(
    platform: Platform, name: str, kind: SetKind | None, origin: Origin, dataset: str, accepted: bool = True
) -> Looked:
    total, items = spread_items(platform, dataset, MOST_ITEMS)
    return Looked(name, kind, origin, dataset, total, items, accepted)


def _batch(platform: Platform, line: Line, batch: Batch, made: Chain) -> BatchRow:
    reasons = (
        made.decision.reasons
        if made.decision
        else [f"{r.code} {r.title}" for r in made.data.reasons]
        if made.data
        else []
    )
    return BatchRow(
        batch_id=batch.batch_id,
        received_at=batch.received_at,
        contributor=batch.contributor,
        source=batch.source,
        filename=batch.filename,
        status=status.status_of(platform, line, made),
        verdict=made.decision.verdict if made.decision else None,
        version=made.deployed.version if made.deployed else None,
        reason=reasons[0] if reasons else "",
        kept=made.data.kept if made.data else None,
        total=made.data.total if made.data else None,
        quality_score=made.data.quality_score if made.data else None,
        origin=made.data.origin if made.data else None,
        page=made.report.page if made.report else None,
    )


def _balances(family: Family, line: Line, sources: Sequence[Looked]) -> Iterator[Balance]:
    """Count labels, then every kind of slice ('voice:kal' is the value 'kal' of the facet 'voice')."""
    labels = family.labels(family.Config.model_validate(line.config))
    facets: dict[str, dict[str, Counter[str]]] = {}
    if labels:
        facets["label"] = {label: Counter() for label in labels}
    for source in sources:
        for item in source.items:
            values = [("label", family.show(item.target))] if labels else []
            values += [_facet(name) for name in item.slices if not (labels and name.startswith("label:"))]
            for facet, value in values:
                facets.setdefault(facet, {}).setdefault(value, Counter())[source.name] += 1
    for facet, counts in facets.items():
        if len(counts) < 2:
            continue
        names = (
            list(counts)
            if facet == "label" and labels
            else sorted(counts, key=lambda name: (-counts[name].total(), name))
        )
        shown = names if len(names) <= max(MOST_VALUES, len(labels)) else names[:SHOWN_VALUES]
        yield Balance(
            facet=facet,
            counts={name: dict(counts[name]) for name in shown},
            more=len(names) - len(shown),
        )


def _facet(name: str) -> tuple[str, str]:
    facet, colon, value = name.partition(":")
    return (facet, value) if colon else ("slice", name)


def _distributions(family: Family, sets: Sequence[Looked], batches: Sequence[Looked]) -> Iterator[Distribution]:
    groups = {
        GOLDEN: [item for each in sets if each.kind == "golden" for item in each.items],
        BATCHES: [item for each in batches for item in each.items],
    }
    values: dict[str, dict[str, list[float]]] = {}
    for group, items in groups.items():
        for item in items:
            for quantity, value in _quantities(family, item).items():
                values.setdefault(quantity, {}).setdefault(group, []).append(value)
    varied = {name: by for name, by in values.items() if len({each for part in by.values() for each in part}) > 1}
    for quantity, by in list(varied.items())[:SHOWN_QUANTITIES]:
        yield _distribution(quantity, by)


def _distribution(quantity: str, by: Mapping[str, list[float]]) -> Distribution:
    pooled = np.concatenate([np.array(part) for part in by.values()])
    edges = _edges(pooled)
    return Distribution(
        quantity=quantity,
        edges=tuple(edges.tolist()),
        counts={
            group: tuple(np.histogram(np.minimum(part, edges[-1]), edges)[0].tolist()) for group, part in by.items()
        },
        medians={group: float(np.median(part)) for group, part in by.items()},
    )


def _edges(values: NDArray) -> NDArray:
    """Return the edges of at most 24 bins; bins of whole numbers hold as many of them each."""
    low, top = values.min(), np.percentile(values, TAIL)
    if (values == values.round()).all():
        low, top = low - 0.5, np.ceil(top) + 0.5
        width = np.ceil((top - low) / BINS)
        return np.arange(low, top + width, width)
    return np.linspace(low, top if top > low else values.max(), BINS + 1)


def _quantities(family: Family, item: Item) -> dict[str, float]:
    """Return what can be measured of an item without knowing its family; attributes it wrote come last."""
    found: dict[str, float] = {}
    if isinstance(item.value, str):
        found["characters of the input"] = len(item.value)
    if isinstance(item.value, dict):
        found |= {str(key): float(value) for key, value in item.value.items() if _is_number(value)}
    if isinstance(item.target, str) and " " in item.target:
        found["characters of the answer"] = len(item.target)
    if _is_number(item.target):
        found["answer"] = float(item.target)
    found[f"{family.unit}s"] = family.units([item])
    return found | {key: float(value) for key, value in item.attributes.items() if _is_number(value)}


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reasons(family: Family, recent: Sequence[tuple[Batch, Chain]]) -> Iterator[Reason]:
    titles = {**archive_rules.FINDINGS, **validate.FINDINGS, **family.findings}
    times: Counter[tuple[str, Severity]] = Counter()
    batches: Counter[tuple[str, Severity]] = Counter()
    for data in (made.data for _, made in recent if made.data):
        found: Counter[tuple[str, Severity]] = Counter((each.code, "quarantine") for each in data.reasons)
        found.update({(code, "drop"): count for code, count in data.dropped.items()})
        found.update({(code, "flag"): count for code, count in data.flagged.items()})
        times += found
        batches.update(found.keys())
    for (code, severity), count in times.most_common():
        shared = batches[code, severity]
        yield Reason(code=code, title=titles.get(code, ""), severity=severity, times=count, batches=shared)


def _examples(platform: Platform, family: Family, source: Looked) -> Iterator[Example]:
    """Choose items of one source, one of each answer in turn; the same ones every time."""
    turns: dict[str, list[Item]] = {}
    for item in sample(source.items, len(source.items), source.dataset):
        turns.setdefault(family.show(item.target), []).append(item)
    ordered = sorted((turn, at, item) for at, items in enumerate(turns.values()) for turn, item in enumerate(items))
    folder = platform.store.folder(source.dataset)
    for _, _, item in ordered[:SHOWN_EXAMPLES]:
        yield Example(
            source=source.name,
            item=item.id,
            target=family.show(item.target),
            origin=item.origin,
            shown=shown(folder, item),
        )
