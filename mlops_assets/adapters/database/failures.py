"""What a database could not do, as a sentence: no room, no right to write, a lock, a damaged file, a server gone.

SQLite names its reason by a number, Postgres by a state (appendix A of its manual). A wrong statement is our own error
and stays one.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc

from mlops_assets.core.disk import KEPT, SQLITE_FULL, SQLITE_READONLY, sqlite_reason
from mlops_assets.core.errors import Busy, Corrupt, PlatformError, Unavailable

LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# Classes of states, or one: connection, resources (a full disk too), shutdown, lock, serialization, system, read-only.
POSTGRES = ("08", "53", "57", "55P03", "40", "58", "25006")


@contextmanager
def told(url: sa.URL) -> Iterator[None]:
    """Raise Unavailable, Busy or Corrupt for what a person must see to, and all else as it is."""
    try:
        yield
    except exc.TimeoutError as error:
        raise Busy("All connections to the database are in use.", "Nothing was done; try again in a moment.") from error
    except exc.DBAPIError as error:
        failure = _on_sqlite(error, url) if url.get_backend_name() == "sqlite" else _on_a_server(error, url)
        if failure is None:
            raise
        raise failure from error


def _on_sqlite(error: exc.DBAPIError, url: sa.URL) -> PlatformError | None:
    file, said = Path(url.database or ""), str(error.orig)
    reason = sqlite_reason(error.orig)
    if reason in SQLITE_FULL:
        free = shutil.disk_usage(file.parent).free / 1e6
        what = f"The database {file} cannot be written: {said}; its disk has {free:,.1f} MB free."
        return Unavailable(what, f"Make room there, or see to the disk. {KEPT}")
    if reason in SQLITE_READONLY:
        what = f"The database {file} cannot be written: {said}."
        return Unavailable(what, f"Give the right to write it and its folder, or set MLOPS_DATABASE_URL. {KEPT}")
    if reason in LOCKED:
        what = f"The database {file} was locked by another process for too long."
        return Busy(what, "Nothing was done. See what writes to it for so long; then try again.")
    if reason in DAMAGED:
        return Corrupt(f"The database {file} is damaged: {said}.", "Check the disk, and restore it from a backup.")
    return None


def _on_a_server(error: exc.DBAPIError, url: sa.URL) -> PlatformError | None:
    state = getattr(error.orig, "sqlstate", None)
    if state is None and not isinstance(error, exc.OperationalError):
        return None
    if state is not None and not state.startswith(POSTGRES):
        return None
    where = f"{url.database} at {url.host}" if url.host else str(url.database)
    return Unavailable(
        f"The database {where} did not do it: {str(error.orig).partition(chr(10))[0]}.",
        f"Check that the server is up, has room and may be written to, and MLOPS_DATABASE_URL. {KEPT}",
    )
