"""Leases without clocks: a holder beats, and a waiter that sees no beat for a while takes over.

Nothing compares two machines' clocks: a waiter measures, on its own monotonic clock, how long the beat stood still.
A holder whose process is gone from this host is taken over at once.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import sqlalchemy as sa
from sqlalchemy import exc

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.tables import leases
from mlops_assets.core.errors import Busy, PlatformError

POLL_SECONDS = 0.1
log = logging.getLogger(__name__)


@dataclass
class _Held:
    holder: str
    token: str
    depth: int = 1
    ended: threading.Event = field(default_factory=threading.Event)


# By process, database and name: several `SqlLeases` in one process share what it holds.
_held: dict[tuple[int, str, str], _Held] = {}
_held_lock = threading.Lock()


class SqlLeases:
    """Fills `Leases`. A holder that is silent for `ttl_seconds` is taken over; it beats every `beat_seconds`."""

    def __init__(self, database: Database, *, ttl_seconds: float = 30, beat_seconds: float = 5) -> None:
        self._database = database
        self._ttl_seconds = ttl_seconds
        self._beat_seconds = beat_seconds

    @contextmanager
    def hold(self, name: str, *, holder: str, wait_seconds: float) -> Iterator[None]:
        """Hold `name`, renewing it until the block ends; Busy if another live holder keeps it for `wait_seconds`.

        Re-entrant for the same holder in the same process.
        """
        key = (os.getpid(), self._database.url, name)
        held = _enter_again(key, holder) or self._acquire(key, holder, wait_seconds)
        try:
            yield
        finally:
            with _held_lock:
                held.depth -= 1
                last = held.depth == 0
                if last:
                    del _held[key]
            if last:
                held.ended.set()
                self._give_up(name, held)

    def holder(self, name: str) -> str | None:
        """Return who holds a name now; None if nobody does, or only a process of this host that is gone."""
        with self._database.read() as connection:
            row = _row(connection, name)
        return None if row is None or _is_gone(row) else row.holder

    def _acquire(self, key: tuple[int, str, str], holder: str, wait_seconds: float) -> _Held:
        name = key[2]
        start = time.monotonic()
        seen, seen_at = None, start
        while True:
            held = _enter_again(key, holder)
            if held is not None:
                return held
            now = time.monotonic()
            token, row = self._try(name, holder, seen if now - seen_at >= self._ttl_seconds else None)
            if token is not None:
                return self._begin(key, _Held(holder, token))
            if row is not None and seen != (row.token, row.beat):
                seen, seen_at = (row.token, row.beat), now
            if now - start >= wait_seconds:
                who = "somebody" if row is None else f"{row.holder} (process {row.pid} on {row.host.split('/')[0]})"
                raise Busy(f"{name} is held by {who}.", "Nothing was done; try again when it has finished.")
            time.sleep(min(POLL_SECONDS, max(0.0, wait_seconds - (now - start))))

    def _try(self, name: str, holder: str, silent: tuple[str, int] | None) -> tuple[str | None, sa.Row | None]:
        """Take the lease if it is free, its holder is gone, or it still shows the `silent` beat."""
        with self._database.read() as connection:
            row = _row(connection, name)
        if row is not None and not _is_gone(row) and silent != (row.token, row.beat):
            return None, row
        with self._database.write() as connection:
            current = _row(connection, name)
            if current != row:
                return None, current
            connection.execute(leases.delete().where(leases.c.name == name))
            token = uuid.uuid4().hex
            mine = {"token": token, "holder": holder, "host": _host(), "pid": os.getpid(), "beat": 0}
            connection.execute(leases.insert().values(name=name, **mine))
        if row is not None:
            log.warning("%s took over %s from %s, which had stopped", holder, name, row.holder)
        return token, row

    def _begin(self, key: tuple[int, str, str], held: _Held) -> _Held:
        with _held_lock:
            _held[key] = held
        threading.Thread(target=self._beat, args=(key[2], held), name=f"lease {key[2]}", daemon=True).start()
        return held

    def _beat(self, name: str, held: _Held) -> None:
        mine = (leases.c.name == name) & (leases.c.token == held.token)
        while not held.ended.wait(self._beat_seconds):
            try:
                with self._database.write() as connection:
                    beaten = connection.execute(leases.update().where(mine).values(beat=leases.c.beat + 1)).rowcount
            except (PlatformError, exc.DBAPIError) as error:
                log.warning("The lease %s could not be renewed; trying again. %s", name, error)
                continue
            if not beaten:
                if not held.ended.is_set():
                    log.warning("%s lost the lease %s: it was silent for too long", held.holder, name)
                return

    def _give_up(self, name: str, held: _Held) -> None:
        """Free a lease; where the database does not let it, the work is done all the same, and silence frees it."""
        try:
            with self._database.write() as connection:
                connection.execute(leases.delete().where(leases.c.name == name, leases.c.token == held.token))
        except (PlatformError, exc.DBAPIError) as error:
            log.warning("The lease %s is not freed at once: it ends by its holder's silence. %s", name, error)


def _enter_again(key: tuple[int, str, str], holder: str) -> _Held | None:
    with _held_lock:
        held = _held.get(key)
        if held is None or held.holder != holder:
            return None
        held.depth += 1
        return held


def _row(connection: sa.Connection, name: str) -> sa.Row | None:
    return connection.execute(sa.select(leases).where(leases.c.name == name)).one_or_none()


def _is_gone(row: sa.Row) -> bool:
    """Say whether the holder's process has ended, which only its own host can know."""
    if row.host != _host():
        return False
    try:
        return psutil.Process(row.pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _host() -> str:
    """Name this host, and on Linux its process namespace: two containers may share a host name, not process ids."""
    namespace = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()}/{namespace.readlink() if namespace.is_symlink() else ''}"
