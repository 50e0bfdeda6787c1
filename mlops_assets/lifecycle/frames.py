"""A line's history as pandas tables, for notebooks: what came in, what was found, what was measured, what served.

Everything is read from stored records; nothing is checked, trained or scored. Columns `origin` say of each figure
whether the data behind it is real or synthetic.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle import history, status

if TYPE_CHECKING:
    from pandas import DataFrame

Row = dict[str, Any]


def batches(platform: Platform, line: Line) -> "DataFrame":
    """Return one row a batch: who sent it, how much of it was kept, its quality (0 to 10), and how it ended."""
    return _frame(
        {
            "batch_id": batch.batch_id,
            "received_at": batch.received_at,
            "contributor": batch.contributor,
            "source": batch.source,
            "status": status.status_of(platform, line, made),
            "kept": made.data.kept if made.data else None,
            "total": made.data.total if made.data else None,
            "quality_score": made.data.quality_score if made.data else None,
            "origin": made.data.origin if made.data else None,
            "verdict": made.decision.verdict if made.decision else None,
            "version": made.deployed.version if made.deployed else None,
        }
        for batch, made in history.chains(platform, line)
    )


def items(platform: Platform, line: Line) -> "DataFrame":
    """Return one row an item that was kept of a batch; `answer` is its target as text, attributes are columns."""
    family = platform.family(line.family)
    return _frame(
        {
            "batch_id": batch.batch_id,
            "item": item.id,
            "input": item.path if item.value is None else item.value,
            "answer": family.show(item.target),
            "cluster": item.cluster,
            "slices": item.slices,
            "origin": item.origin,
            **item.attributes,
        }
        for batch, made in history.chains(platform, line)
        if made.data is not None
        for item in history.dataset_items(platform, made.data.dataset)
    )


def findings(platform: Platform, line: Line) -> "DataFrame":
    """Return one row a finding: which rule said what of which item of which batch."""
    return _frame(
        {"batch_id": batch.batch_id, **finding.model_dump()}
        for batch, made in history.chains(platform, line)
        if made.data is not None
        for finding in history.batch_findings(platform, made.data)
    )


def metrics(platform: Platform, line: Line) -> "DataFrame":
    """Return one row a metric of a set or slice of an evaluation; `delta` is positive where the candidate is better."""
    return _frame(
        {
            "batch_id": batch.batch_id,
            "version": made.deployed.version if made.deployed else None,
            **row.model_dump(exclude={"candidate_interval", "production_interval"}),
            "candidate_low": row.candidate_interval[0] if row.candidate_interval else None,
            "candidate_high": row.candidate_interval[1] if row.candidate_interval else None,
        }
        for batch, made in history.chains(platform, line)
        if made.report is not None
        for row in made.report.comparisons
    )


def scores(platform: Platform, line: Line) -> "DataFrame":
    """Return one row an item, system and metric of an evaluation; a metric is sum(numerator) over sum(weight)."""
    family = platform.family(line.family)
    return _frame(
        {
            "batch_id": batch.batch_id,
            "set_name": result.name,
            "item": item.item,
            "cluster": item.cluster,
            "slices": item.slices,
            "system": system,
            "answer": family.show(item.reference),
            "prediction": family.show(found.prediction),
            "metric": metric,
            "numerator": numerator,
            "weight": weight,
            "origin": result.origin,
        }
        for batch, made in history.chains(platform, line)
        if made.report is not None
        for result in made.report.sets
        for item in history.scored_items(platform, result)
        for system, found in item.systems.items()
        for metric, (numerator, weight) in found.scores.items()
    )


def curves(platform: Platform, line: Line) -> "DataFrame":
    """Return one row a point of a learning curve."""
    return _frame(
        {"batch_id": batch.batch_id, **point.model_dump()}
        for batch, made in history.chains(platform, line)
        if made.candidate is not None
        for point in made.candidate.curve
    )


def costs(platform: Platform, line: Line) -> "DataFrame":
    """Return one row a system of an evaluation: seconds per unit of input, bytes, seconds to load."""
    return _frame(
        {"batch_id": batch.batch_id, "system": system, **report.model_dump()}
        for batch, made in history.chains(platform, line)
        if made.report is not None
        for system, report in made.report.systems.items()
    )


def versions(platform: Platform, line: Line) -> "DataFrame":
    """Return one row a version, with the roles it holds now."""
    return _frame(iter(status.versions(platform, line)))


def _frame(rows: Iterator[Row]) -> "DataFrame":
    from pandas import DataFrame

    return DataFrame.from_records(list(rows))
