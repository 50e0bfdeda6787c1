"""Local files that appear whole or not at all, and stay after a power loss."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ABANDONED_SECONDS = 24 * 3600


@contextmanager
def staged(target: Path, folder: Path | None = None, *, durable: bool = True) -> Iterator[Path]:
    """Give a path to write; at the end it is renamed to `target`, on an error it is removed.

    `folder` (default: that of `target`) holds the unfinished file; it must lie on the same file system.
    `durable` flushes bytes and name to the disk; what can be made again need not be.
    """
    folder = folder or target.parent
    for needed in (folder, target.parent):
        _make_folder(needed)
    unfinished = folder / f".{target.name[:64]}.{uuid.uuid4().hex}.tmp"
    try:
        yield unfinished
        if durable:
            sync(unfinished)
        unfinished.replace(target)
        if durable:
            sync(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they stay."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def write_whole(target: Path, text: str) -> None:
    """Replace a text file atomically."""
    with staged(target) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Flush a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_abandoned(folder: Path) -> None:
    """Remove what a process that died left unfinished in a folder a day ago or more."""
    for path in folder.glob("*"):
        if path.lstat().st_mtime < time.time() - ABANDONED_SECONDS:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
