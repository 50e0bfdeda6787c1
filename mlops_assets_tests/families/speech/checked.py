"""Batches of recordings, checked."""

from pathlib import Path

import numpy as np
import pytest

from mlops_assets.core.dataset import read_items
from mlops_assets.core.family import Checked
from mlops_assets.core.records.data import Item
from mlops_assets.families.speech import FAMILY
from mlops_assets.families.speech.findings import FINDINGS
from mlops_assets_tests.families.speech.recordings import RATE, manifest, write

soundfile = pytest.importorskip("soundfile")

TEXT = "send the crate to dock seven"


def check(folder: Path, **config: object) -> tuple[Checked, list[Item]]:
    out = folder.parent / f"{folder.name}-dataset"
    checked = FAMILY.check(folder, out, FAMILY.Config.model_validate(config), lambda _: None)
    items = read_items(out)
    assert checked.kept == len(items)
    for item in items:
        samples, rate = soundfile.read(out / str(item.path), dtype="int16")
        assert rate == RATE
        assert len(samples) == round(float(item.attributes["seconds"]) * RATE)
    return checked, items


def codes(checked: Checked) -> list[str]:
    assert all(found.title == FINDINGS[found.code] for found in checked.findings)
    return [found.code for found in checked.findings]


def one(folder: Path, wave: np.ndarray, name: str = "a.wav", rate: int = RATE, subtype: str | None = None) -> Path:
    write(folder / name, wave, rate, subtype)
    return manifest(folder, [(name, TEXT)])
