"""What the conformance suite needs to know of each family, a module a family, found by name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_assets.core.records.data import Item


@dataclass(frozen=True)
class Example:
    """Tiny data and a tiny configuration of one family.

    `config(folder)` may write what the configuration refers to into `folder`. `batch(folder, seed)` writes a batch
    every item of which is good; batches of two seeds share nothing. `disguised(batch, out)` writes the batch again so
    that its items are still those items, and no file or text is the same. `agrees(model, servable, folder, items)`
    asserts by a way of its own, not the family's, that a servable is the trained model. Training with `config` takes
    more than two steps, with a checkpoint before the half. `exempt` names checks that cannot hold, and says why.
    """

    config: Callable[[Path], dict[str, Any]]
    batch: Callable[[Path, int], Path]
    disguised: Callable[[Path, Path], Path]
    agrees: Callable[[Path, Path, Path, list[Item]], None]
    requires: tuple[str, ...] = ()
    exempt: dict[str, str] = field(default_factory=dict)
