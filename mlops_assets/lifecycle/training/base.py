"""The base model of a line: what its first candidate starts from, and the baseline every report shows."""

import shutil
import uuid
from pathlib import Path

from mlops_assets.core.digests import sha256_json
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record
from mlops_assets.core.tasks import BaseTask


class BaseModel(Record):
    """Store digests of a base model: its weights, and its servable."""

    model: str
    servable: str


def base_models(platform: Platform) -> list[BaseModel]:
    """Return every base model that was made, of whatever line and code: the next report compares with one of them."""
    return [BaseModel.parse(path.read_bytes()) for path in sorted(_known(platform).glob("*.json"))]


def base(platform: Platform, line: Line, *, fresh: bool = False) -> BaseModel:
    """Return the base model of a line, made in its own process the first time; TaskFailed says why it cannot be.

    `fresh` makes it even if it is known: its stored bytes may be spoiled.
    """
    key = sha256_json([line.family, line.config, platform.code_version(line.family)])
    known = _known(platform) / f"{key}.json"
    if known.exists() and not fresh:
        made = BaseModel.parse(known.read_bytes())
        if platform.store.has(made.model) and platform.store.has(made.servable):
            return made
    folder = platform.home / "runs" / line.line / f"base-{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True)
    try:
        task = BaseTask(
            family=line.family,
            config=line.config,
            model=str(folder / "model"),
            servable=str(folder / "servable"),
            progress=str(folder / "progress.jsonl"),
        )
        platform.compute.run(task, line.limits)
        made = BaseModel(
            model=platform.store.put_folder(folder / "model"), servable=platform.store.put_folder(folder / "servable")
        )
    finally:
        shutil.rmtree(folder)
    known.parent.mkdir(parents=True, exist_ok=True)
    partial = known.with_name(f"{known.name}.{uuid.uuid4().hex}")
    partial.write_text(made.canonical_json(), encoding="utf-8")
    partial.replace(known)
    return made


def _known(platform: Platform) -> Path:
    return platform.home / "cache" / "base"
