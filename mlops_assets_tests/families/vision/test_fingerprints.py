"""Finding the same picture again, and no other."""

from pathlib import Path

import numpy as np
import pytest

from mlops_assets.core.dataset import read_items
from mlops_assets.core.records.data import Item
from mlops_assets.families.vision import FAMILY
from mlops_assets_tests.families.vision.photographs import LABELS, by_folder, disc, encoded, put

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    return items(by_folder(tmp_path_factory.mktemp("set") / "batch", range(6)))


def items(folder: Path) -> list[Item]:
    config = FAMILY.Config.model_validate({"labels": LABELS, "size": 96})
    FAMILY.check(folder, folder.parent / "dataset", config, lambda _: None)
    return read_items(folder.parent / "dataset")


@pytest.mark.parametrize(
    ("name", "form", "options"),
    [("re-encoded", "JPEG", {"quality": 60}), ("smaller", "PNG", {}), ("brighter", "PNG", {}), ("mirrored", "PNG", {})],
)
def test_a_disguised_picture_leaks(
    tmp_path: Path, protected: list[Item], name: str, form: str, options: dict[str, object]
) -> None:
    for label in LABELS:
        for seed in range(6):
            picture = disc(label, seed)
            if name == "smaller":
                picture = picture.resize((70, 70))
            if name == "brighter":
                picture = picture.point(lambda v: min(255, int(v * 1.15)))
            if name == "mirrored":
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            put(tmp_path / "batch", f"{label}/{seed}.{form.lower()}", encoded(picture, form, **options))
    found = FAMILY.leaks(items(tmp_path / "batch"), protected)
    assert len(found) == len(protected)
    assert {leak.kind for leak in found} == {"near"}
    names = {item.id: item.attributes["file"] for item in protected}
    assert len({names[leak.protected_item] for leak in found}) == len(protected)


def test_other_pictures_do_not_leak(tmp_path: Path, protected: list[Item]) -> None:
    assert FAMILY.leaks(items(by_folder(tmp_path / "batch", range(50, 70))), protected) == []


def test_a_picture_of_one_colour_has_a_look() -> None:
    from mlops_assets.families.vision.fingerprints import look

    assert look(np.full((96, 96, 3), 7, np.uint8)) == look(np.full((96, 96, 3), 200, np.uint8))
