"""`ingest`: whatever could improve a line becomes a batch, once, under the digest of its bytes.

The bytes are stored first and claimed then: a crash in between leaves bytes nobody names, and one before the record
is mended when the same bytes come again.
"""

import os
import stat
from pathlib import Path

from mlops_assets.core.digests import folder_files
from mlops_assets.core.errors import NotFound, Refused
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import RawBatch
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import keep_stored
from mlops_assets.lifecycle.intake.archive_rules import ArchiveLimits


def ingest(
    platform: Platform, line: Line, path: Path, *, contributor: str, source: str, senders: tuple[str, ...] = ()
) -> tuple[RawBatch, bool]:
    """Store a file or folder as a batch and record it; return the record, and whether it was there already.

    The same bytes are the same batch, under whatever name, from whomever: its first record is returned unchanged.
    NotFound for a path with nothing at it; Refused for links, devices, an upload beyond the size of a batch, and for
    bytes that run code when loaded; Busy for one that changes while it is read.
    """
    is_folder, size = _measure(path)
    put = platform.store.put_folder if is_folder else platform.store.put_file
    digest = put(path)
    failpoint("ingest: before claim")
    batch = platform.batches.claim(line.line, digest, contributor=contributor, source=source, filename=path.name).batch
    keep_stored(platform, digest, lambda: put(path))
    failpoint("ingest: before record")
    known = platform.records.get(line.line, batch.batch_id, "raw_batch")
    if isinstance(known, RawBatch):
        return known, True
    record = RawBatch(
        line=line.line,
        batch_id=batch.batch_id,
        sha256=digest,
        artifact=digest,
        is_folder=is_folder,
        filename=batch.filename,
        size_bytes=size,
        source=batch.source,
        contributor=batch.contributor,
        received_at=batch.received_at,
        senders=senders,
    )
    platform.ledger.append(
        "submitted",
        line.line,
        actor=batch.contributor,
        batch_id=batch.batch_id,
        body={"sha256": digest, "filename": batch.filename, "source": batch.source, "size_bytes": size},
        key=f"submitted:{line.line}:{batch.batch_id}",
    )
    failpoint("ingest: before put")
    platform.records.put("raw_batch", record)
    return record, False


def raw_batch(platform: Platform, line: Line, batch_id: str) -> RawBatch:
    """Return a batch's record after reading its stored bytes again; Corrupt if they are not what was submitted."""
    batch = platform.batches.get(line.line, batch_id)
    record = platform.records.get(line.line, batch_id, "raw_batch")
    if not isinstance(record, RawBatch):
        raise NotFound(f"Batch {batch_id} of {line.line} was not received whole.", f"Submit {batch.filename} again.")
    stored_copy(platform, record)
    return record


def stored_copy(platform: Platform, record: RawBatch) -> Path:
    """Return a verified local copy of what was submitted, not to be written to."""
    return platform.store.folder(record.artifact) if record.is_folder else platform.store.file(record.artifact)


def _measure(path: Path) -> tuple[bool, int]:
    """Return whether a path is a folder, and its bytes."""
    if not os.path.lexists(path):
        raise NotFound(f"There is nothing at {path}.", "Name a file, a folder or a zip.")
    names = [Path(root) / name for root, folders, files in os.walk(path) for name in (*folders, *files)]
    for each in (path, *names):
        kind = each.lstat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise Refused(f"{each} is a link or a device.", "Send files and folders.")
        if any("\ud800" <= letter <= "\udfff" for letter in each.name):
            raise Refused(f"A name in {each.parent} is not UTF-8.", "Rename it.")
    files = folder_files(path).values() if path.is_dir() else (path,)
    size, limits = sum(file.stat().st_size for file in files), ArchiveLimits()
    if size > limits.max_bytes or len(names) > limits.max_entries:
        raise Refused(
            f"{path} holds {size:,} bytes in {len(names):,} files and folders; "
            f"a batch may hold {limits.max_bytes:,} in {limits.max_entries:,}.",
            "Split it.",
        )
    return path.is_dir(), size
