"""A folder that uploads are dropped into: says which are complete, and offers each once.

A file is complete when `<name>.done` lies beside it, or when neither its size nor its time changed between two scans;
a folder only when `<name>.done` lies beside it. If `<name>.sha256` lies there too, the bytes must match it.
What cannot become a batch is moved to `refused/`, with its reason in a text file beside it.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from mlops_assets.adapters.files import write_whole
from mlops_assets.core.digests import folder_files, sha256_file, sha256_folder
from mlops_assets.core.ports.intake import InboxScan, Upload

UNFINISHED = (".part", ".partial", ".tmp", ".crdownload")
MARKERS = (".done", ".sha256")
SHA256 = re.compile(r"\s*([0-9a-fA-F]{64})\b")
GROWING = "it may still be growing: it is looked at again"
UNMARKED = "a folder is taken when {name}.done lies beside it"
UNREADABLE = "{name}.sha256 holds no sha256"
OTHER_BYTES = "its bytes are not those of {name}.sha256: upload it again"
READY = ""
REFUSED = "refused"


@dataclass(frozen=True)
class _Found:
    path: Path
    size: int
    changed: int
    done: bool
    stated: Path | None


class InboxFolder:
    """Fills `InboxSource` with a local folder; one that does not exist is empty.

    The state holds, per name, size, time in ns, time of the stated sha256, and what was said of it, so that an
    unchanged upload is neither offered nor hashed again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def scan(self, previous: Mapping[str, JsonValue]) -> InboxScan:
        """Compare the folder with the state that the previous scan gave back (empty at first)."""
        ready: list[Upload] = []
        waiting: dict[str, str] = {}
        state: dict[str, JsonValue] = {}
        for name, found in self._uploads().items():
            before = previous.get(name)
            now: list[JsonValue] = [found.size, found.changed, _time(found.stated)]
            unchanged = isinstance(before, list) and before[:3] == now
            said = before[3] if unchanged and isinstance(before, list) else None
            if said is None or said == GROWING or (said == UNMARKED and found.done):
                said = _judge(found, unchanged)
                if said == READY:
                    ready.append(
                        Upload(name=name, path=str(found.path), size_bytes=found.size, changed_ns=found.changed)
                    )
            if said != READY:
                waiting[name] = str(said).format(name=name)
            state[name] = [*now, said]
        return InboxScan(ready=tuple(ready), waiting=waiting, state=state)

    def set_aside(self, upload: Upload, why: str) -> str:
        """Move an upload and its markers to `refused/`, named after its time; another look may have done it already."""
        source = self._folder / upload.name
        kept = self._folder / REFUSED / f"{upload.changed_ns}-{upload.name}"
        kept.parent.mkdir(exist_ok=True)
        write_whole(kept.with_name(f"{kept.name}.txt"), f"{why}\n")
        for suffix in (*MARKERS, ""):
            with suppress(FileNotFoundError):
                source.with_name(source.name + suffix).rename(kept.with_name(kept.name + suffix))
        return str(kept)

    def _uploads(self) -> dict[str, _Found]:
        if not self._folder.is_dir():
            return {}
        with os.scandir(self._folder) as listing:
            entries = {entry.name: entry for entry in listing if not entry.is_symlink()}
        found: dict[str, _Found] = {}
        for name in sorted(filter(_is_upload, entries)):
            entry, done = entries[name], f"{name}.done" in entries
            stated = self._folder / f"{name}.sha256" if f"{name}.sha256" in entries else None
            if entry.is_file():
                stat = entry.stat()
                found[name] = _Found(self._folder / name, stat.st_size, stat.st_mtime_ns, done, stated)
            elif entry.is_dir():
                size, changed = _extent(self._folder / name) if done else (0, 0)
                found[name] = _Found(self._folder / name, size, changed, done, stated)
        return found


def _is_upload(name: str) -> bool:
    return not name.startswith(".") and name != REFUSED and not name.lower().endswith(UNFINISHED + MARKERS)


def _extent(folder: Path) -> tuple[int, int]:
    stats = [path.stat() for path in folder_files(folder).values()]
    return sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)


def _time(path: Path | None) -> int:
    return 0 if path is None else path.stat().st_mtime_ns


def _judge(found: _Found, unchanged: bool) -> str:
    """Return READY, or what an upload waits for."""
    is_folder = found.path.is_dir()
    if not found.done and is_folder:
        return UNMARKED
    if not found.done and not unchanged:
        return GROWING
    if found.stated is None:
        return READY
    stated = SHA256.match(found.stated.read_text(encoding="utf-8", errors="replace"))
    if stated is None:
        return UNREADABLE
    actual = sha256_folder(found.path) if is_folder else sha256_file(found.path)
    return READY if actual == stated[1].lower() else OTHER_BYTES
