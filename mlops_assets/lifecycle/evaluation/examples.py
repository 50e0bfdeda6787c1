"""What a page can show of an item: a text, cut to what one reads, or a small picture; of a recording, nothing.

The page carries its pictures in itself. A picture that cannot be drawn is left out: pages are about figures, and the
family's check has said what is wrong with a file.
"""

import base64
import io
import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, JsonValue

from mlops_assets.core.dataset import iterate_items
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Item
from mlops_assets.core.records.evaluation import EvalReport

LONGEST_TEXT = 400
PIXELS = 112
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


class Shown(Record):
    """An item's input as a page shows it."""

    text: str = ""
    picture: str | None = Field(default=None, exclude=True, description="A data URI")


Inputs = dict[tuple[str, str], Shown]


def shown(folder: Path, item: Item) -> Shown:
    """Return what can be shown of an item of a dataset folder."""
    if item.path is None:
        return Shown(text=_text(item.value))
    kind = FORMATS.get(Path(item.path).suffix.lower())
    return Shown(picture=_thumbnail(folder / item.path, kind) if kind else None)


def changed_inputs(platform: Platform, report: EvalReport) -> Inputs:
    """Return what can be shown of the items that a report names, by set and item id."""
    datasets = {each.name: each.dataset for each in report.sets}
    wanted: dict[str, set[str]] = {}
    for change in (*report.worst, *report.best):
        wanted.setdefault(change.set_name, set()).add(change.item)
    return {
        (name, item): made
        for name, items in wanted.items()
        for item, made in shown_items(platform, datasets[name], items).items()
    }


def shown_items(platform: Platform, dataset: str, wanted: Iterable[str]) -> dict[str, Shown]:
    """Return what can be shown of chosen items of a stored dataset, by item id."""
    chosen, folder = set(wanted), platform.store.folder(dataset)
    return {item.id: shown(folder, item) for item in iterate_items(folder) if item.id in chosen} if chosen else {}


def _text(value: JsonValue) -> str:
    match value:
        case str():
            text = value
        case dict():
            text = " · ".join(f"{name}: {_text(each)}" for name, each in value.items() if each is not None)
        case _:
            text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} …"


def _thumbnail(path: Path, kind: str) -> str | None:
    from PIL import Image

    try:
        with Image.open(path, formats=(kind,)) as image:
            image.draft("RGB", (2 * PIXELS, 2 * PIXELS))
            image.thumbnail((PIXELS, PIXELS))
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, format="JPEG", quality=75)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
