"""Datasets are folders: what is written is read back, and merged without losing a file."""

from pathlib import Path

from mlops_assets.core.dataset import item_input, merge, read_items, write_items
from mlops_assets.core.records.data import Item


def _dataset(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(f"{folder.name} {name}")
    write_items(folder, (Item(id=name, path=name, target=name, cluster=name) for name in names))
    return folder


def test_merging_takes_the_chosen_items_with_their_files(tmp_path: Path):
    one, two = _dataset(tmp_path / "one", "a", "b"), _dataset(tmp_path / "two", "c")
    assert merge(tmp_path / "both", [(one, read_items(one)[1:]), (two, read_items(two))]) == 2
    items = read_items(tmp_path / "both")
    assert [item.id for item in items] == ["b", "c"]
    inputs = [item_input(tmp_path / "both", item) for item in items]
    assert all(isinstance(path, Path) and path.is_file() for path in inputs)
    assert not (tmp_path / "both" / "a").exists()


def test_an_item_without_a_file_is_its_value(tmp_path: Path):
    item = Item(id="x", value={"text": "ripe\nmango\u2028"}, target="yes", cluster="u")
    write_items(tmp_path / "texts", [item])
    assert read_items(tmp_path / "texts") == [item]
    assert item_input(tmp_path / "texts", item) == {"text": "ripe\nmango\u2028"}


def test_an_empty_dataset_is_one(tmp_path: Path):
    assert write_items(tmp_path / "nothing", []) == 0
    assert read_items(tmp_path / "nothing") == []
