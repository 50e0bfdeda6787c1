"""What `check` makes of batches, `leaks` of copies, and `example` of what users report."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.core.dataset import read_items
from mlops_assets.core.digests import sha256_folder
from mlops_assets.core.events import Correction, Feedback, Prediction, Reported
from mlops_assets_tests.families.conformance.prepared import Prepared

UNKNOWN = {"prediction": None, "file": None}


def survives_the_empty_batch(it: Prepared) -> None:
    """`check` of a folder without files keeps nothing and gives one finding, of severity 'quarantine'."""
    (it.folder / "nothing").mkdir()
    checked, data = it.check(it.folder / "nothing", "from_nothing")
    assert (checked.total, checked.kept) == (0, 0)
    assert [found.severity for found in checked.findings] == ["quarantine"]
    assert {found.code for found in checked.findings} <= set(it.family.findings)
    assert read_items(data) == []
    assert it.family.units([]) == 0


def check_keeps_good_items(it: Prepared) -> None:
    """`check` keeps every item of the example's batch, with an id, a cluster, a target and its file; quality >= 7."""
    checked, data = it.check(it.batch, "kept")
    items = read_items(data)
    assert checked.total == checked.kept == len(items) > 0
    assert [found for found in checked.findings if found.severity != "flag"] == []
    assert 7 <= checked.quality_score <= 10
    assert len({item.id for item in items}) == len(items)
    assert all(item.cluster and item.target is not None for item in items)
    assert all((data / item.path).is_file() for item in items if item.path is not None)
    assert it.family.units(items) > 0


def check_is_deterministic(it: Prepared) -> None:
    """`check` of the same batch twice finds the same and writes the same dataset."""
    first, data = it.check(it.batch, "once")
    second, again = it.check(it.batch, "twice")
    assert first == second
    assert sha256_folder(data) == sha256_folder(again)


def check_leaves_the_batch_alone(it: Prepared) -> None:
    """`check` writes nothing into the batch."""
    before = sha256_folder(it.batch)
    it.check(it.batch, "aside")
    assert sha256_folder(it.batch) == before


def finds_leaks(it: Prepared) -> None:
    """`leaks` calls equal items 'exact', names no strangers, and knows 95 % of the disguised items again."""
    again = it.family.leaks(it.items, it.items)
    assert {leak.item for leak in again} == {item.id for item in it.items}
    assert {leak.kind for leak in again} == {"exact"}
    assert all(leak.protected_item == leak.item for leak in again)
    assert it.family.leaks(it.items, read_items(it.held_out)) == []
    assert it.family.leaks([], it.items) == it.family.leaks(it.items, []) == []
    disguised = read_items(it.check(it.example.disguised(it.batch, it.folder / "disguise"), "disguised")[1])
    assert len(disguised) == len(it.items)
    assert len(it.family.leaks(disguised, it.items)) >= 0.95 * len(disguised)


def learns_from_what_is_reported(it: Prepared) -> None:
    """`example` gives a row that `check` keeps for corrections or for ratings; "" or a reason for all else."""
    for kind in ("correction", "feedback"):
        folder = it.folder / f"reported by {kind}"
        folder.mkdir()
        rows = [it.family.example(each, it.config) for each in reported(kind, it, folder)]
        unknown = it.family.example(next(reported(kind, it, folder)).model_copy(update=UNKNOWN), it.config)
        assert isinstance(unknown, dict | str)
        assert {type(row) for row in rows} == {dict} or set(map(str, rows)) == {""}
        if rows[0]:
            (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            checked, _ = it.check(folder, f"learned from {kind}")
            assert checked.total == checked.kept == len(rows)
            return
    pytest.fail("nothing can be learned from corrections nor from ratings")


def reported(kind: str, it: Prepared, folder: Path) -> Iterator[Reported]:
    """Yield corrections or ratings of the items' predictions; files of inputs are put into the folder as they came."""
    pictures = sorted(path for path in it.batch.rglob("*") if path.suffix in (".jpg", ".png", ".webp"))
    for at, (item, value) in enumerate(zip(it.items, pictures or it.inputs, strict=True)):
        if isinstance(value, Path):
            shutil.copyfile(value, folder / str(at))
        prediction = Prediction(
            version=1,
            arm="production",
            latency_ms=1,
            success=True,
            input={"kept": f"2026-11-21/p{at}"} if isinstance(value, Path) else value,
        )
        told = Correction(prediction_id=f"p{at}", target=it.family.show(item.target), user=f"user{at}")
        yield Reported(
            received_at="2026-11-21T08:00:00.000+00:00",
            event=told if kind == "correction" else Feedback(rating=1 + at % 5, user=f"user{at}"),
            prediction=prediction,
            file=str(at) if isinstance(value, Path) else None,
        )


CHECKS = (
    survives_the_empty_batch,
    check_keeps_good_items,
    check_is_deterministic,
    check_leaves_the_batch_alone,
    finds_leaks,
    learns_from_what_is_reported,
)
