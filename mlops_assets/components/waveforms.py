"""Pictures of a dataset's first recordings, for the people who look at a batch."""

import io
from pathlib import Path

from mlops_assets.core.dataset import iterate_items

SHOWN = 3
POINTS = 600
AUDIO = {".wav", ".flac", ".ogg"}


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
        axis.set(ylim=(-1, 1), yticks=[], title=str(item.target)[:90])
        axis.title.set_fontsize(8)
    axes[-1].set_xlabel("seconds")
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=80)
        return file.getvalue()
