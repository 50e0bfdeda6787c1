"""Reading back what a line has been through."""

from pathlib import Path

import pytest

from mlops_assets.core.dataset import write_items
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import Item
from mlops_assets.lifecycle.history import dataset_items, spread_items


@pytest.mark.parametrize(
    ("most", "chosen"), [(1, [0]), (2, [0, 4]), (3, [0, 3, 6]), (4, [0, 2, 4, 6]), (7, [*range(7)]), (99, [*range(7)])]
)
def test_a_part_of_many_items_is_spread_over_all(platform: Platform, tmp_path: Path, most: int, chosen: list[int]):
    items = [Item(id=str(at), value=f"line\u2028separator {at}", target="x", cluster="a") for at in range(7)]
    write_items(tmp_path / "data", items)
    dataset = platform.store.put_folder(tmp_path / "data")
    total, some = spread_items(platform, dataset, most)
    assert (total, [each.id for each in some]) == (7, [str(at) for at in chosen])
    assert dataset_items(platform, dataset) == items
