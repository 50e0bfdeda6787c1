"""Reading and writing dataset folders: `items.jsonl` and the files its items name."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, JsonValue

from mlops_assets.core.digests import sha256_file, sha256_json
from mlops_assets.core.records.data import Item

ITEMS = "items.jsonl"


def read_items(folder: Path) -> list[Item]:
    """Read every item of a dataset folder."""
    return list(iterate_items(folder))


def iterate_items(folder: Path) -> Iterator[Item]:
    """Yield the items of a dataset folder one by one."""
    with (folder / ITEMS).open(encoding="utf-8") as file:
        for line in file:
            yield Item.model_validate_json(line)


def write_items(folder: Path, items: Iterable[Item]) -> int:
    """Write `items.jsonl` of a dataset folder; return how many were written."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with (folder / ITEMS).open("w", encoding="utf-8") as file:
        for item in items:
            file.write(item.canonical_json() + "\n")
            count += 1
    return count


def item_input(folder: Path, item: Item) -> Path | JsonValue:
    """Return what a predictor is given for an item: the path of its file, or its value."""
    return item.value if item.path is None else folder / item.path


def merge(out: Path, parts: Iterable[tuple[Path, Iterable[Item]]]) -> int:
    """Write one dataset from chosen items of several; file names stay, for they are digests; return the count."""
    chosen: list[Item] = []
    for folder, items in parts:
        for item in items:
            chosen.append(item)
            if item.path is not None:
                target = out / item.path
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    shutil.copyfile(folder / item.path, target)
    return write_items(out, chosen)


def training_digest(data: Path, held_out: Path, weights: Path, config: BaseModel, seed: int) -> str:
    """Return what a checkpoint belongs to: the digest of two dataset folders, the parent's file, settings and seed."""
    return sha256_json(
        {
            "data": sha256_file(data / ITEMS),
            "held_out": sha256_file(held_out / ITEMS),
            "parent": sha256_file(weights),
            "config": config.model_dump(mode="json"),
            "seed": seed,
        }
    )
