"""A preference family worked up for tests: batches checked, a tiny model trained and exported."""

from pathlib import Path
from typing import Any

from mlops_assets.core.dataset import read_items, write_items
from mlops_assets.core.family import Checked
from mlops_assets.core.records.data import Item
from mlops_assets.families.preference import FAMILY
from mlops_assets.families.preference.config import Config
from mlops_assets_tests.families.preference.events import write

TINY = Config(hidden=4, embedding=2, user_factors=2, epochs=30, batch_size=16)


def check(folder: Path, rows: list[Any], config: Config = TINY) -> tuple[Checked, list[Item]]:
    """Check rows of JSON lines; return what was found and the items."""
    batch = write(folder / "batch" / "events.jsonl", rows)
    return check_folder(batch, folder / "data", config)


def check_folder(batch: Path, out: Path, config: Config = TINY) -> tuple[Checked, list[Item]]:
    """Check a folder; return what was found and the items."""
    return FAMILY.check(batch, out, config, lambda _: None), read_items(out)


def codes(checked: Checked) -> dict[str, int]:
    """Count findings by code."""
    found = [each.code for each in checked.findings]
    return {code: found.count(code) for code in sorted(set(found))}


def train(folder: Path, items: list[Item], config: Config = TINY, parent: Path | None = None, **more: Any) -> Path:
    """Train in `folder` on items, from the base if there is no parent; return the model folder."""
    for name, part in (("data", items), ("held_out", more.get("held_out", []))):
        write_items(folder / name, part)
    if parent is None:
        FAMILY.base(config, folder / "base")
    arguments = (folder / "data", folder / "held_out", parent or folder / "base", config, more.get("seed", 1), folder)
    FAMILY.train(*arguments, lambda _: None)
    return folder / "model"


def servable(folder: Path, model: Path, config: Config = TINY) -> Path:
    """Export a model."""
    FAMILY.export(model, folder, config)
    return folder


def value(items: list[Item], predictions: list[Any], metric: str, config: Config = TINY) -> float:
    """Return a metric's ratio of sums."""
    scores = [each[metric] for each in FAMILY.score(items, predictions, config)]
    return sum(each.numerator for each in scores) / sum(each.weight for each in scores)
