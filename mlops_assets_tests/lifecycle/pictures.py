"""A line of pictures, and one without labels, whose records were made by hand: pages know no family, so any will do."""

import io
from pathlib import Path

from PIL import Image

from mlops_assets.core.dataset import write_items
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import Item


def picture_dataset(platform: Platform, folder: Path) -> str:
    """Store a dataset of a picture, a recording, a file that only says it is a picture, and a table row."""
    (folder / "files").mkdir(parents=True)
    data = io.BytesIO()
    Image.new("RGB", (640, 480), "#d97706").save(data, format="JPEG")
    (folder / "files" / "mango.jpg").write_bytes(data.getvalue())
    (folder / "files" / "broken.png").write_bytes(b"no picture at all")
    (folder / "files" / "word.wav").write_bytes(b"RIFF")
    write_items(
        folder,
        (
            Item(id="picture", path="files/mango.jpg", target="ripe", cluster="a"),
            Item(id="broken", path="files/broken.png", target="ripe", cluster="a"),
            Item(id="sound", path="files/word.wav", target="word", cluster="a"),
            Item(id="row", value={"bars": 8, "action": None, "key": "6a"}, target=4, cluster="a"),
            Item(id="long", value="x" * 5000, target="x", cluster="a"),
        ),
    )
    return platform.store.put_folder(folder)
