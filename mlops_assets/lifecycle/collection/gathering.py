"""`gather`: what production reported since the last time becomes an ordinary batch, once.

The ledger holds the cursor. An entry `gathering` fixes the range before anything is written, and `gathered` closes it
once the batch is there; whoever finds the first without the second finishes that very range. The same range gives the
same bytes, and the same bytes are the same batch, however often it is gathered.
"""

import shutil
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import JsonValue

from mlops_assets.core.digests import canonical_json
from mlops_assets.core.line import Line
from mlops_assets.core.ports.accountability import LedgerEntry
from mlops_assets.core.ports.intake import Batch
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.collection.learnable import Example, Learnable, learnable
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.intake.ingest import ingest

SOURCE = "events"
MANIFEST = "manifest.jsonl"
WAIT_SECONDS = 60.0


def gather(platform: Platform, line: Line, *, actor: str) -> Batch | None:
    """Make a batch of all that can be learned from since the last gathering; None if there is nothing.

    A gathering that was interrupted is finished first, and nothing newer goes into it. Busy while somebody else
    gathers for too long; whatever `ingest` raises.
    """
    with hold(platform, line):
        begun = unfinished(platform, line)
        if begun is None:
            fresh = learnable(platform, line, after=cursor(platform, line))
            if not fresh.examples:
                return None
            begun = platform.ledger.append(
                "gathering",
                line.line,
                actor=actor,
                body={"after": fresh.after, "until": fresh.until},
                key=f"gathering:{line.line}:{fresh.after}",
            )
        failpoint("gather: before batch")
        found = learnable(platform, line, after=_number(begun, "after"), until=_number(begun, "until"))
        batch = _ingested(platform, line, found)
        failpoint("gather: before cursor")
        platform.ledger.append(
            "gathered",
            line.line,
            actor=begun.actor,
            batch_id=None if batch is None else batch.batch_id,
            body={
                "after": found.after,
                "until": found.until,
                "examples": len(found.examples),
                "left_out": dict(found.left_out),
                "users": len(found.users),
            },
            key=f"gathered:{line.line}:{found.after}",
        )
        return batch


def cursor(platform: Platform, line: Line) -> int:
    """Return the sequence up to which a line's events were gathered, 0 for none."""
    closed = last_gathering(platform, line)
    return 0 if closed is None else _number(closed, "until")


def last_gathering(platform: Platform, line: Line) -> LedgerEntry | None:
    """Return the ledger's entry on the last batch that was made of events."""
    return next(iter(platform.ledger.entries(line.line, "gathered", newest=1)), None)


def unfinished(platform: Platform, line: Line) -> LedgerEntry | None:
    """Return the ledger's entry on a gathering that was begun and did not come to its end."""
    begun = next(iter(platform.ledger.entries(line.line, "gathering", newest=1)), None)
    return begun if begun is not None and begun.body["after"] == cursor(platform, line) else None


def hold(platform: Platform, line: Line) -> AbstractContextManager[None]:
    """Hold a line's events: nobody decides to gather them while another thread or process does."""
    holder = f"thread {threading.get_ident()}"
    return platform.leases.hold(f"gather:{line.line}", holder=holder, wait_seconds=WAIT_SECONDS)


def _ingested(platform: Platform, line: Line, found: Learnable) -> Batch | None:
    """Write the batch and take it in; None where a crash outlived the events it was to be made of."""
    if not found.examples:
        return None
    folder = platform.home / "gathering" / line.line / f"events-{found.after + 1}-{found.until}"
    shutil.rmtree(folder, ignore_errors=True)
    _write(folder, found.examples)
    record, _ = ingest(
        platform, line, folder, contributor=_contributor(found.users), source=SOURCE, senders=found.senders
    )
    shutil.rmtree(folder)
    return platform.batches.get(line.line, record.batch_id)


def _write(folder: Path, examples: Sequence[Example]) -> None:
    folder.mkdir(parents=True)
    rows = "".join(canonical_json(each.row) + "\n" for each in examples)
    (folder / MANIFEST).write_text(rows, encoding="utf-8")
    for name, path in (each.file for each in examples if each.file is not None):
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)


def _contributor(users: Sequence[str]) -> str:
    """Return whose batch it is: whoever reported all of it may not review it."""
    return users[0] if len(users) == 1 else f"{len(users)} users" if users else "users"


def _number(entry: LedgerEntry, name: str) -> int:
    value: JsonValue = entry.body[name]
    assert isinstance(value, int)
    return value
