from pathlib import Path

import dagster as dg
import numpy as np
from PIL import Image
from scipy.io import wavfile

from mlops_assets.components.samples import samples
from mlops_assets.core.dataset import write_items
from mlops_assets.core.records.data import Item


def test_pictures_are_shown_with_labels_that_cannot_be_read_as_markdown(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), (10, 200, 30)).save(tmp_path / "a.png")
    write_items(tmp_path, [Item(id="a", path="a.png", target="ripe](http://evil) <b>", cluster="a")])
    shown = samples(tmp_path)["sample pictures"]
    assert isinstance(shown, dg.MarkdownMetadataValue)
    assert shown.value.count("data:image/png;base64,") + shown.value.count("data:image/jpeg;base64,") == 1
    assert "evil" in shown.value
    assert "](http" not in shown.value
    assert "<b>" not in shown.value


def test_recordings_are_drawn_whatever_was_said(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "a.wav", 16_000, (np.sin(np.arange(16_000) / 20) * 9_000).astype(np.int16))
    write_items(tmp_path, [Item(id="a", path="a.wav", target="five $ and $\\frac{ of it", cluster="a")])
    assert "data:image/png;base64," in samples(tmp_path)["sample waveforms"].value


def test_texts_are_shown_beside_their_targets(tmp_path: Path) -> None:
    write_items(tmp_path, [Item(id="a", value="when is it ripe", target="question", cluster="a")])
    (row,) = samples(tmp_path)["sample items"].records
    assert row.data == {"item": "when is it ripe", "target": "question"}


def test_an_empty_dataset_shows_nothing(tmp_path: Path) -> None:
    write_items(tmp_path, [])
    assert samples(tmp_path) == {}
