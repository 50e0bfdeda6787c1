"""Examples of a batch, and of the items that changed, for a reviewer to hear, see and read.

Only what the batch's own records name is served, with a content type from this table and never from a file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from mlops_assets.core.dataset import iterate_items
from mlops_assets.core.errors import NotFound
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Item, ValidatedData
from mlops_assets.core.records.evaluation import EvalReport, ItemChange
from mlops_assets.lifecycle.evaluation.examples import shown
from mlops_assets.lifecycle.history import spread_items

BATCH = "batch"
OF_THE_BATCH, OF_EACH_CHANGE = 12, 8
TYPES = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}


class Sample(Record):
    """One item: what it is, what it should be, and, if it changed, what the two models said."""

    set_name: str
    item: str
    kind: Literal["text", "audio", "image", "none"]
    text: str = ""
    target: str
    production: str | None = None
    candidate: str | None = None
    change: float | None = None
    origin: str = "real"


class Samples(Record):
    """What a reviewer is shown of a batch."""

    total: int
    of_the_batch: tuple[Sample, ...]
    worse: tuple[Sample, ...]
    better: tuple[Sample, ...]


@dataclass(frozen=True)
class Media:
    """A file that may be served, as what, and under which name."""

    path: Path
    content_type: str
    name: str


def samples(platform: Platform, line: str, batch_id: str, family: str) -> Samples:
    """Return items of a batch, spread over it, and the items whose score moved most; none of a sealed set."""
    data = platform.records.get(line, batch_id, "validated_data")
    report = platform.records.get(line, batch_id, "eval_report")
    show = platform.family(family).show
    total, spread = 0, []
    if isinstance(data, ValidatedData) and platform.store.has(data.dataset):
        total, spread = spread_items(platform, data.dataset, OF_THE_BATCH)
        folder = platform.store.folder(data.dataset)
        spread = [_sample(BATCH, folder, item, show(item.target)) for item in spread]
    changes = report if isinstance(report, EvalReport) else None
    return Samples(
        total=total,
        of_the_batch=tuple(spread),
        worse=tuple(_changed(platform, changes, changes.worst)) if changes else (),
        better=tuple(_changed(platform, changes, changes.best)) if changes else (),
    )


def media(platform: Platform, line: str, batch_id: str, set_name: str, item_id: str) -> Media:
    """Return the file of an item of a batch or of a set that it was judged on; NotFound for anything else."""
    folder = _folder(platform, line, batch_id, set_name)
    item = next((each for each in iterate_items(folder) if each.id == item_id), None) if folder else None
    missing = NotFound(f"'{item_id}' of {set_name} is no sample of batch {batch_id} of {line}.")
    if folder is None or item is None or item.path is None:
        raise missing
    path = (folder / item.path).resolve()
    suffix = path.suffix.lower()
    if not path.is_relative_to(folder.resolve()) or not path.is_file() or suffix not in TYPES:
        raise missing
    return Media(path=path, content_type=TYPES[suffix], name=f"{set_name}-{item_id}{suffix}")


def _changed(platform: Platform, report: EvalReport, changes: Iterable[ItemChange]) -> Iterator[Sample]:
    sets = {each.name: each for each in report.sets if each.kind != "sealed"}
    chosen = list(islice((each for each in changes if each.set_name in sets), OF_EACH_CHANGE))
    for name in dict.fromkeys(each.set_name for each in chosen):
        if not platform.store.has(sets[name].dataset):
            continue
        wanted = {each.item: each for each in chosen if each.set_name == name}
        folder = platform.store.folder(sets[name].dataset)
        for item in iterate_items(folder):
            if item.id in wanted:
                change = wanted[item.id]
                said = {"production": change.production, "candidate": change.candidate, "change": change.change}
                if sets[name].origin == "synthetic":  # as its line's YAML says, whatever its rows say
                    said["origin"] = "synthetic"
                yield _sample(name, folder, item, change.reference).model_copy(update=said)


def _sample(set_name: str, folder: Path, item: Item, target: str) -> Sample:
    kind = "text"
    if item.path is not None:
        kind = TYPES.get(Path(item.path).suffix.lower(), "none").partition("/")[0]
    return Sample(
        set_name=set_name,
        item=item.id,
        kind=kind,  # pyright: ignore[reportArgumentType]
        text=shown(folder, item).text if kind == "text" else "",
        target=target,
        origin=item.origin,
    )


def _folder(platform: Platform, line: str, batch_id: str, set_name: str) -> Path | None:
    data = platform.records.get(line, batch_id, "validated_data")
    report = platform.records.get(line, batch_id, "eval_report")
    digest = None
    if set_name == BATCH:
        digest = data.dataset if isinstance(data, ValidatedData) else None
    elif isinstance(report, EvalReport):
        digest = next((each.dataset for each in report.sets if each.name == set_name and each.kind != "sealed"), None)
    return platform.store.folder(digest) if digest is not None and platform.store.has(digest) else None
