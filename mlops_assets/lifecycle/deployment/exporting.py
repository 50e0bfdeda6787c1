"""`export`: a version's files as a person hands them to a device or another program, with what was measured of them.

The files are the very bytes that are served, or their full-precision twin; only the main one gets a telling name,
`<line>_model_v<N>.<ext>` (a twin's `<line>_model_v<N>_reference.<ext>`), with `metrics_v<N>.json` beside it, as source
001 has it.
"""

import json
import shutil
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import JsonValue

from mlops_assets.core.digests import folder_files, sha256_bytes, sha256_file
from mlops_assets.core.errors import NotFound, Refused
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.base import AssetRecord, Record
from mlops_assets.core.records.evaluation import Comparison, EvalReport
from mlops_assets.core.records.training import CandidateModel

MAIN = "model"
Format = Literal["served", "reference"]
T = TypeVar("T", bound=AssetRecord)


class Export(Record):
    """What was written: file names and digests, in `folder`."""

    line: str
    version: int
    format: Format
    folder: str
    files: dict[str, str]


def export(platform: Platform, line: Line, number: int | None, kind: Format, out: Path) -> Export:
    """Write version `number` (default: the one that serves) to the folder `out`, which may hold other things.

    NotFound if there is no such version or it has no full-precision twin; Refused if a file of the same name holds
    other bytes: nothing is written then.
    """
    version = _version(platform, line, number)
    tag = f"v{version.version}" if kind == "served" else f"v{version.version}_{kind}"
    names = {
        _named(name, f"{line.line}_{MAIN}_{tag}"): path
        for name, path in folder_files(platform.store.folder(_digest(platform, version, kind))).items()
    }
    digests = {name: sha256_file(path) for name, path in names.items()}
    metrics = _metrics(platform, version, kind, digests)
    metrics_name = f"metrics_{tag}.json"
    digests[metrics_name] = sha256_bytes(metrics)
    _refuse_others(out, digests)
    for name, path in names.items():
        _write(out / name, partial(shutil.copyfile, path))
    _write(out / metrics_name, lambda target: target.write_bytes(metrics))
    return Export(line=line.line, version=version.version, format=kind, folder=str(out), files=digests)


def _version(platform: Platform, line: Line, number: int | None) -> Version:
    wanted = platform.versions.pointer(line.line).roles.get("production") if number is None else number
    if wanted is None:
        raise NotFound(f"{line.line} serves no version yet.", f"Submit a batch: `mlops submit {line.line} PATH`.")
    return platform.versions.get(line.line, wanted)


def _digest(platform: Platform, version: Version, kind: Format) -> str:
    if kind == "served":
        return version.servable
    candidate = _record(platform, version, "candidate_model", CandidateModel)
    if candidate is None or "reference" not in candidate.companions:
        raise NotFound(
            f"Version {version.version} of {version.line} has no full-precision twin: it was not compressed, or is the "
            "base model.",
            "Leave --format out: what is served is what was trained.",
        )
    return candidate.companions["reference"]


def _named(name: str, main: str) -> str:
    path = Path(name)
    return f"{main}{path.suffix}" if path.stem == MAIN and path.parent == Path() else name


def _metrics(platform: Platform, version: Version, kind: Format, files: dict[str, str]) -> bytes:
    """Return all that was measured of a version and where it comes from; equal records give equal bytes."""
    report = _record(platform, version, "eval_report", EvalReport)
    rows = [each for each in report.comparisons if each.slice is None] if report else []
    document: dict[str, JsonValue] = {
        **version.model_dump(mode="json"),
        "format": kind,
        "files": dict(files),
        "eval_report": report.digest if report else None,
        "scorer": report.scorer if report else None,
        "alpha": report.alpha if report else None,
        "compression": [each.model_dump(mode="json") for each in report.compression] if report else [],
        "metrics": {
            name: {each.metric: _figures(each, kind) for each in rows if each.set_name == name}
            for name in dict.fromkeys(each.set_name for each in rows)
        },
    }
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _figures(row: Comparison, kind: Format) -> dict[str, JsonValue]:
    """Return one metric; the interval is that of the served files, which the twin was not given."""
    own = {"value": row.candidate, "interval": list(row.candidate_interval) if row.candidate_interval else None}
    twin = {"value": row.reference, "interval": None}
    shared = ("production", "baseline", "classical", "delta", "lower", "upper", "n", "clusters", "origin")
    named = row.model_dump(mode="json", include={*shared, "unit", "higher_is_better"})
    return {**(own if kind == "served" else twin), **named}


def _record(platform: Platform, version: Version, asset: str, kind: type[T]) -> T | None:
    """Return a record of the batch that a version was made of; None for a base model."""
    if version.batch_id is None:
        return None
    found = platform.records.get(version.line, version.batch_id, asset)
    return found if isinstance(found, kind) else None


def _refuse_others(out: Path, digests: dict[str, str]) -> None:
    for name, digest in digests.items():
        target = out / name
        if target.exists() and not (target.is_file() and sha256_file(target) == digest):
            raise Refused(f"{target} is there and is something else.", "Name another folder with --output.")


def _write(target: Path, write: Callable[[Path], object]) -> None:
    """Make a file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        write(unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
