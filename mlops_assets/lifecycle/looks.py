"""Looks at a golden set, counted in the ledger: every candidate measured on it uses up some of its worth."""

from collections.abc import Sequence

from mlops_assets.core.ports import Platform
from mlops_assets.core.records import SetResult


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


def _golden(sets: Sequence[SetResult]) -> list[SetResult]:
    return [each for each in sets if each.kind == "golden"]
