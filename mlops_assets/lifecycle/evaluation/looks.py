"""Looks at a golden set and openings of a sealed one, counted in the ledger: each uses up some of the set's worth."""

from collections.abc import Sequence

from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.evaluation import SetResult


def record_looks(platform: Platform, line: str, batch_id: str, servable: str, sets: Sequence[SetResult]) -> None:
    """Enter one look per golden set and candidate; the same candidate on the same set again is the same look."""
    for each in _golden(sets):
        platform.ledger.append(
            "looked",
            line,
            actor="platform",
            batch_id=batch_id,
            body={"golden": each.name, "dataset": each.dataset, "candidate": servable},
            key=f"looked:{line}:{each.dataset}:{servable}",
        )


def look_number(platform: Platform, line: str, servable: str, sets: Sequence[SetResult]) -> int:
    """Return the number of this candidate's look at its golden set, counted from 1 (the largest, of several sets)."""
    numbers = dict.fromkeys((each.dataset for each in _golden(sets)), 0)
    largest = 0
    for entry in platform.ledger.entries(line, "looked"):
        dataset = str(entry.body["dataset"])
        if dataset in numbers:
            numbers[dataset] += 1
            if entry.body["candidate"] == servable:
                largest = max(largest, numbers[dataset])
    return largest


def record_opening(platform: Platform, line: str, batch_id: str, servable: str, dataset: str) -> None:
    """Enter that a sealed set is opened for a candidate, before anything of it is seen; once for both."""
    platform.ledger.append(
        "opened",
        line,
        actor="platform",
        batch_id=batch_id,
        body={"dataset": dataset, "candidate": servable},
        key=f"opened:{line}:{dataset}:{servable}",
    )


def opening_number(platform: Platform, line: str, servable: str, dataset: str) -> int:
    """Return the number of the opening for this candidate, counted from 1; if there was none, how many others had."""
    opened = [
        each.body["candidate"] for each in platform.ledger.entries(line, "opened") if each.body["dataset"] == dataset
    ]
    return opened.index(servable) + 1 if servable in opened else len(opened)


def _golden(sets: Sequence[SetResult]) -> list[SetResult]:
    return [each for each in sets if each.kind == "golden"]
