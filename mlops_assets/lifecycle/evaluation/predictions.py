"""Predictions of a servable on evaluation sets, made in a fresh process and kept: what serves is not scored each time.

A prediction depends on the servable's bytes, the dataset's bytes and the code that loads it; that is its cache key.
"""

import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from mlops_assets.core.digests import sha256_json
from mlops_assets.core.errors import TaskFailed
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record
from mlops_assets.core.tasks import ScoreResult, ScoreTask


class Measured(Record):
    """What one servable did on one dataset, and how long it took; `predictions` is a store digest."""

    predictions: str
    seconds: float
    units: float
    load_seconds: float


@dataclass(frozen=True)
class Predicted:
    """Predictions by set name, in item order, and their cost over all sets."""

    predictions: dict[str, list[JsonValue]]
    seconds_per_unit: float
    load_seconds: float


def predict(
    platform: Platform, line: Line, servable: str, datasets: Mapping[str, str], progress: Path, *, fresh: bool = False
) -> Predicted:
    """Return what a servable answers on datasets (set name to store digest); `fresh` measures even what is known.

    TaskFailed if it does not load, or does not answer every item.
    """
    known = {} if fresh else {name: _read(platform, line, servable, dataset) for name, dataset in datasets.items()}
    missing = {name: dataset for name, dataset in datasets.items() if known.get(name) is None}
    measured = {name: each for name, each in known.items() if each is not None}
    if missing:
        measured |= _measure(platform, line, servable, missing, progress)
    predictions = {name: _lines(platform.store.read_bytes(measured[name].predictions)) for name in datasets}
    units = sum(each.units for each in measured.values())
    seconds = sum(each.seconds for each in measured.values())
    return Predicted(
        predictions=predictions,
        seconds_per_unit=seconds / units if units else 0.0,
        load_seconds=max((each.load_seconds for each in measured.values()), default=0.0),
    )


def _measure(
    platform: Platform, line: Line, servable: str, datasets: Mapping[str, str], progress: Path
) -> dict[str, Measured]:
    folder = platform.home / "runs" / line.line / f"score-{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True)
    try:
        folders = {name: platform.store.folder(dataset) for name, dataset in datasets.items()}
        task = ScoreTask(
            family=line.family,
            config=line.config,
            servable=str(platform.store.folder(servable)),
            datasets={name: str(path) for name, path in folders.items()},
            out=str(folder),
            progress=str(progress),
        )
        result = platform.compute.run(task, line.limits)
        if not isinstance(result, ScoreResult):
            raise TaskFailed(f"The scoring process of {servable[:12]} answered with a {result.task} result.")
        measured: dict[str, Measured] = {}
        for name, dataset in datasets.items():
            data = _complete(folder / f"{name}.jsonl", folders[name], name)
            measured[name] = Measured(
                predictions=platform.store.put_bytes(data),
                seconds=result.predict_seconds[name],
                units=result.units[name],
                load_seconds=result.load_seconds,
            )
            _write(_known(platform, line, servable, dataset), measured[name])
        return measured
    finally:
        shutil.rmtree(folder)


def _complete(path: Path, dataset: Path, name: str) -> bytes:
    if not path.exists():
        raise TaskFailed(f"The model gave no predictions for the set {name}.")
    data = path.read_bytes()
    wanted = len((dataset / "items.jsonl").read_bytes().splitlines())
    if len(_lines(data)) != wanted:
        raise TaskFailed(f"The model gave {len(_lines(data))} predictions for the {wanted} items of {name}.")
    return data


def _lines(data: bytes) -> list[JsonValue]:
    return [json.loads(line) for line in data.decode().split("\n") if line]


def _known(platform: Platform, line: Line, servable: str, dataset: str) -> Path:
    key = sha256_json([line.family, line.config, servable, dataset, platform.code_version(line.family)])
    return platform.home / "cache" / "predictions" / f"{key}.json"


def _read(platform: Platform, line: Line, servable: str, dataset: str) -> Measured | None:
    path = _known(platform, line, servable, dataset)
    if not path.exists():
        return None
    measured = Measured.parse(path.read_bytes())
    return measured if platform.store.has(measured.predictions) else None


def _write(path: Path, measured: Measured) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    partial.write_text(measured.canonical_json(), encoding="utf-8")
    partial.replace(path)
