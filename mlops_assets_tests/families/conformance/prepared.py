"""A family with its example, worked up once for all its checks."""

import importlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mlops_assets.core.dataset import item_input, read_items
from mlops_assets.core.family import Checked, Family, Progress, Trained
from mlops_assets.core.records.data import Item
from mlops_assets.wiring.families import load_family
from mlops_assets_tests.families.examples import Example

SEED = 7


@dataclass(frozen=True)
class Prepared:
    """A family with its example, worked up as far as a check asks, in a folder that all its checks share."""

    name: str
    folder: Path

    @cached_property
    def family(self) -> Family:
        return load_family(self.name)

    @cached_property
    def example(self) -> Example:
        return importlib.import_module(f"mlops_assets_tests.families.examples.{self.name}").EXAMPLE

    @cached_property
    def values(self) -> dict[str, Any]:
        return self.example.config(self.folder)

    @cached_property
    def config(self) -> BaseModel:
        return self.family.Config.model_validate(self.values)

    @cached_property
    def batch(self) -> Path:
        return self.example.batch(self.folder / "batch", 1)

    @cached_property
    def data(self) -> Path:
        return self.check(self.batch, "data")[1]

    @cached_property
    def held_out(self) -> Path:
        return self.check(self.example.batch(self.folder / "other", 2), "held_out")[1]

    @cached_property
    def items(self) -> list[Item]:
        return read_items(self.data)

    @cached_property
    def inputs(self) -> list[Any]:
        return [item_input(self.data, item) for item in self.items]

    @cached_property
    def parent(self) -> Path:
        self.family.base(self.config, self.folder / "parent")
        return self.folder / "parent"

    @cached_property
    def trained(self) -> tuple[Trained, Path, list[Progress]]:
        return self.train("run")

    @cached_property
    def servable(self) -> Path:
        self.family.export(self.trained[1], self.folder / "servable", self.config)
        return self.folder / "servable"

    def check(self, batch: Path, out: str) -> tuple[Checked, Path]:
        """Check a batch; return what was found, and the dataset."""
        return self.family.check(batch, self.folder / out, self.config, lambda _: None), self.folder / out

    def train(self, name: str) -> tuple[Trained, Path, list[Progress]]:
        """Train in the run folder `name`; return the result, the model folder and the progress."""
        progress: list[Progress] = []
        run_dir = self.folder / name
        run_dir.mkdir(exist_ok=True)
        arguments = (self.data, self.held_out, self.parent, self.config, SEED, run_dir, progress.append)
        return self.family.train(*arguments), run_dir / "model", progress
