"""Write servable folders: what is served, and the other precision to judge it by."""

from pathlib import Path
from typing import Literal

from mlops_assets.families.vision.config import Config
from mlops_assets.families.vision.network import load, read_calibration
from mlops_assets.families.vision.servable import MODEL, Network, Preprocessing, write_servable
from mlops_assets.families.vision.tflite import convert, write


def export(model: Path, out: Path, config: Config, precision: Literal["int8", "float"]) -> None:
    """Write the servable of a model folder in `precision`."""
    network = load(model)
    settings = network.settings
    write(out / MODEL, convert(network, precision, read_calibration(model)))
    known = Network(
        labels=settings.labels,
        preprocessing=Preprocessing(size=settings.size, values=(0, 255) if precision == "int8" else (-1, 1)),
        precision=precision,
        threads=config.serving_threads,
    )
    write_servable(out, known)
