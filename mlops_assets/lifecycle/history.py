"""What a line has been through, read back from its records: for status, reports and notebooks alike."""

from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from pydantic import JsonValue

from mlops_assets.core.dataset import ITEMS, read_items
from mlops_assets.core.line import Line
from mlops_assets.core.ports.intake import Batch
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import AssetRecord, Record
from mlops_assets.core.records.data import Finding, Item, ValidatedData
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.evaluation import EvalReport, SetResult, System
from mlops_assets.core.records.outcome import DeployedVersion, Quarantined
from mlops_assets.core.records.training import CandidateModel

Kind = TypeVar("Kind", bound=AssetRecord)


@dataclass(frozen=True)
class Chain:
    """The latest record of each asset of one batch; None for what was not made."""

    data: ValidatedData | None
    candidate: CandidateModel | None
    report: EvalReport | None
    decision: Decision | None
    deployed: DeployedVersion | None
    quarantined: Quarantined | None


class SystemScores(Record):
    """What one system answered for an item, and by metric its (numerator, weight)."""

    prediction: JsonValue
    scores: dict[str, tuple[float, float]]


class ScoredItem(Record):
    """An item of an evaluated set with the answer and score of every system, as scores.jsonl holds it."""

    item: str
    cluster: str
    slices: tuple[str, ...]
    reference: JsonValue
    systems: dict[System, SystemScores]


def chain(platform: Platform, line: Line, batch_id: str) -> Chain:
    """Return the latest records of a batch."""

    def get(asset: str, kind: type[Kind]) -> Kind | None:
        record = platform.records.get(line.line, batch_id, asset)
        return record if isinstance(record, kind) else None

    return Chain(
        data=get("validated_data", ValidatedData),
        candidate=get("candidate_model", CandidateModel),
        report=get("eval_report", EvalReport),
        decision=get("decision", Decision),
        deployed=get("deployed_version", DeployedVersion),
        quarantined=get("quarantine", Quarantined),
    )


def chains(platform: Platform, line: Line) -> list[tuple[Batch, Chain]]:
    """Return every batch of a line in order of arrival, with its records."""
    return [(batch, chain(platform, line, batch.batch_id)) for batch in platform.batches.list(line.line)]


def dataset_items(platform: Platform, dataset: str) -> list[Item]:
    """Return the items of a stored dataset."""
    return read_items(platform.store.folder(dataset))


def spread_items(platform: Platform, dataset: str, most: int) -> tuple[int, list[Item]]:
    """Return the number of items of a stored dataset, and at most `most` of them, spread evenly over it."""
    path = platform.store.folder(dataset) / ITEMS
    with path.open(encoding="utf-8") as file:
        total = sum(1 for _ in file)
    step = max(1, -(-total // most))
    with path.open(encoding="utf-8") as file:
        return total, [Item.model_validate_json(text) for text in islice(file, 0, None, step)]


def batch_findings(platform: Platform, data: ValidatedData) -> list[Finding]:
    """Return every finding of a batch."""
    return [Finding.parse(text) for text in _lines(platform, data.findings)]


def scored_items(platform: Platform, result: SetResult) -> list[ScoredItem]:
    """Return the items of an evaluated set with what every system made of them."""
    return [ScoredItem.parse(text) for text in _lines(platform, result.scores)]


def _lines(platform: Platform, digest: str) -> list[str]:
    """Return the lines of a stored file; a text in JSON may hold any other separator than the line feed."""
    return [text for text in platform.store.read_bytes(digest).decode().split("\n") if text]
