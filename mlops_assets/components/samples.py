"""A look at a dataset's first items, for the people who look at a batch: waveforms, pictures or texts."""

import base64
import io
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.core.dataset import iterate_items
from mlops_assets.core.records.data import Item
from mlops_assets.lifecycle.evaluation.examples import shown

SHOWN = 3
SHOWN_ITEMS = 12
POINTS = 600
AUDIO = {".wav", ".flac", ".ogg"}
UNPRINTED = re.compile(r"[^\w .,;-]")


def samples(dataset: Path) -> Mapping[str, Any]:
    """Return metadata that shows a dataset folder's first items as what they are; nothing for an empty one."""
    if (waves := waveforms_png(dataset)) is not None:
        return {"sample waveforms": dg.MetadataValue.md(f"![]({_uri(waves)})")}
    items = list(itertools.islice(iterate_items(dataset), SHOWN_ITEMS))
    pictures = [(item, found) for item in items if (found := shown(dataset, item).picture)]
    if pictures:
        cells = (f"![{_label(item)}]({uri}) {_label(item)}" for item, uri in pictures)
        return {"sample pictures": dg.MetadataValue.md("\n\n".join(cells))}
    if not items:
        return {}
    rows = [dg.TableRecord({"item": shown(dataset, each).text, "target": str(each.target)}) for each in items]
    return {"sample items": dg.MetadataValue.table(rows)}


def _label(item: Item) -> str:
    """Return a target as markdown cannot misread it: it came with the batch."""
    return UNPRINTED.sub("", str(item.target))[:60]


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def waveforms_png(dataset: Path) -> bytes | None:
    """Draw the amplitude over seconds of the first recordings of a dataset folder; None if it holds no audio."""
    items = []
    for item in iterate_items(dataset):
        if item.path is not None and Path(item.path).suffix in AUDIO:
            items.append(item)
        if len(items) == SHOWN:
            break
    if not items:
        return None
    import soundfile
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.3 * len(items)), layout="constrained")
    axes = figure.subplots(len(items), squeeze=False)[:, 0]
    for axis, item in zip(axes, items, strict=True):
        samples, rate = soundfile.read(dataset / str(item.path), dtype="float32", always_2d=True)
        step = max(1, len(samples) // POINTS)
        envelope = abs(samples[: len(samples) // step * step, 0]).reshape(-1, step).max(axis=1)
        seconds = [index * step / rate for index in range(len(envelope))]
        axis.fill_between(seconds, envelope, -envelope, linewidth=0)
        axis.set(ylim=(-1, 1), yticks=[])
        axis.set_title(str(item.target)[:90], fontsize=8, parse_math=False)
    axes[-1].set_xlabel("seconds")
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=80)
        return file.getvalue()
