"""Files that predictions were asked about, kept as long as their events, if the line keeps payloads.

They lie apart from the artifact store: what users sent is forgotten by age, and nothing else may come to need it.
"""

import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from mlops_assets.core.events import Prediction
from mlops_assets.core.ports.platform import Platform

KEPT = "kept"
_NAME = re.compile(r"\d{4}-\d\d-\d\d/[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def keep(platform: Platform, line: str, event_id: str, data: bytes, now: datetime) -> JsonValue:
    """Keep the file that a prediction is about; return what its event says as `input`."""
    name = f"{now.astimezone(UTC):%Y-%m-%d}/{event_id}"
    target = _folder(platform, line) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{event_id}")
    partial.write_bytes(data)
    partial.replace(target)
    return {KEPT: name}


def was_kept(prediction: Prediction) -> bool:
    """Say whether a prediction's file was kept when it was made."""
    return _name(prediction) is not None


def kept_file(platform: Platform, line: str, prediction: Prediction) -> Path | None:
    """Return the file that a prediction is about, None if none was kept or it is gone."""
    name = _name(prediction)
    found = None if name is None else _folder(platform, line) / name
    return found if found is not None and found.is_file() else None


def forget_before(platform: Platform, line: str, time: datetime) -> int:
    """Delete the files that were kept before a time; return how many."""
    forgotten = 0
    folder = _folder(platform, line)
    for day in sorted(folder.iterdir()) if folder.is_dir() else ():
        if day.name > f"{time.astimezone(UTC):%Y-%m-%d}":
            break
        with os.scandir(day) as files:
            old = [each.path for each in files if each.stat().st_mtime < time.timestamp()]
        for path in old:
            Path(path).unlink(missing_ok=True)
        forgotten += len(old)
        with suppress(OSError):  # it holds later files
            day.rmdir()
    return forgotten


def _folder(platform: Platform, line: str) -> Path:
    return platform.home / KEPT / line


def _name(prediction: Prediction) -> str | None:
    asked = prediction.input
    name = asked.get(KEPT) if isinstance(asked, dict) else None
    return name if isinstance(name, str) and _NAME.fullmatch(name) else None
