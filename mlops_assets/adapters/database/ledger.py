"""The ledger: append-only rows whose hashes chain, so that nobody can change the past unnoticed.

An entry's hash is the sha256 of the canonical JSON of all its other fields, the previous entry's hash among them.
The head row says where the chain ends. Someone who may write the file can drop the triggers, rewrite the whole chain
and the head; whoever kept one later hash elsewhere still notices.
"""

import json
from collections.abc import Mapping

import sqlalchemy as sa
from pydantic import JsonValue

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.tables import ledger, ledger_head
from mlops_assets.core.digests import canonical_json, sha256_json
from mlops_assets.core.errors import Corrupt
from mlops_assets.core.ports.accountability import LedgerEntry

GENESIS = "0" * 64
HEAD_ID = 1


class SqlLedger:
    """Fills `Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read_from = (0, GENESIS)  # the entry before the last one of a chain that was found whole
        self._last: str | None = None

    def append(
        self, kind: str, line: str, *, actor: str, body: Mapping[str, JsonValue], batch_id: str | None = None, key: str
    ) -> LedgerEntry:
        """Append an entry; a second append with the same key returns the first entry unchanged."""
        with self._database.write() as connection:
            found = connection.execute(sa.select(ledger).where(ledger.c.key == key)).one_or_none()
            if found is not None:
                return _entry(found)
            head = connection.execute(sa.select(ledger_head)).one_or_none()
            fields = {
                "sequence": 1 if head is None else head.sequence + 1,
                "kind": kind,
                "line": line,
                "batch_id": batch_id,
                "actor": actor,
                "body": json.loads(canonical_json(dict(body))),
                "at": self._database.now(),
                "previous": GENESIS if head is None else head.hash,
            }
            entry = LedgerEntry(**fields, hash=sha256_json(fields))
            connection.execute(
                ledger.insert().values(**entry.model_dump(exclude={"body"}), body=canonical_json(entry.body), key=key)
            )
            values = {"sequence": entry.sequence, "hash": entry.hash}
            if head is None:
                connection.execute(ledger_head.insert().values(id=HEAD_ID, **values))
            else:
                connection.execute(ledger_head.update().values(**values))
            return entry

    def entries(
        self,
        line: str | None = None,
        kind: str | None = None,
        batch_id: str | None = None,
        *,
        newest: int | None = None,
    ) -> list[LedgerEntry]:
        """Return entries in order, those of one line, kind or batch if one is named, only the `newest` if so many.

        Corrupt for one that cannot be read.
        """
        query = sa.select(ledger).order_by(ledger.c.sequence.desc()).limit(newest)
        if line is not None:
            query = query.where(ledger.c.line == line)
        if kind is not None:
            query = query.where(ledger.c.kind == kind)
        if batch_id is not None:
            query = query.where(ledger.c.batch_id == batch_id)
        with self._database.read() as connection:
            return [_entry(row) for row in reversed(connection.execute(query).all())]

    def verify(self, *, whole: bool = True) -> list[str]:
        """Return a sentence for every changed, missing, moved or cut-off entry; an empty list means the chain holds.

        With `whole` false, only what came after the entry up to which this object last found the chain whole is read
        again, that entry included: 10,000 entries take a fifth of a second.
        """
        before, last = ((0, GENESIS), None) if whole else (self._read_from, self._last)
        sequence, previous = before
        with self._database.read() as connection:
            query = sa.select(ledger).where(ledger.c.sequence > sequence).order_by(ledger.c.sequence)
            rows = connection.execute(query).all()
            head = connection.execute(sa.select(ledger_head)).one_or_none()
        problems = []
        for row in rows:
            if row.sequence != sequence + 1:
                problems.append(_missing(sequence + 1, row.sequence - 1))
            elif row.previous != previous:
                problems.append(f"Entry {row.sequence} does not follow entry {sequence}: one was moved or rewritten.")
            if _hash(row) != row.hash or last not in (None, row.hash):
                problems.append(f"Entry {row.sequence} ({row.kind} of {row.line}) was changed after it was written.")
            before, last = (sequence, previous), None
            sequence, previous = row.sequence, row.hash
        problems += _head_problems(head, sequence, previous)
        if rows and not problems:
            self._read_from, self._last = before, previous
        return problems


def _entry(row: sa.Row) -> LedgerEntry:
    try:
        fields = {**row._mapping, "body": json.loads(row.body)}
        del fields["key"]
        return LedgerEntry.model_validate(fields)
    except ValueError:
        raise Corrupt(
            f"Entry {row.sequence} of the ledger cannot be read: it was changed after it was written.",
            "Restore the database from a backup (`mlops doctor` names every entry).",
        ) from None


def _hash(row: sa.Row) -> str | None:
    try:
        body = json.loads(row.body)
    except ValueError:
        return None
    names = ("sequence", "kind", "line", "batch_id", "actor", "at", "previous")
    return sha256_json({**{name: row._mapping[name] for name in names}, "body": body})


def _missing(first: int, last: int) -> str:
    return f"Entry {first} is missing." if first == last else f"Entries {first} to {last} are missing."


def _head_problems(head: sa.Row | None, sequence: int, last_hash: str) -> list[str]:
    if head is None:
        return [] if sequence == 0 else ["The head of the chain is missing."]
    if head.sequence > sequence:
        return [_missing(sequence + 1, head.sequence)]
    if head.sequence < sequence:
        return [f"The head of the chain was set back to entry {head.sequence} of {sequence}."]
    return [] if head.hash == last_hash else [f"Entry {sequence} is not the one that the chain ended with."]
