"""A disk that refuses, whoever found out: the platform's files and tables, or a library with its own."""

import errno
import sqlite3

from mlops_assets.core.errors import Unavailable

KEPT = "What was confirmed is kept; do again what was not."
FORBIDDEN = (errno.EACCES, errno.EPERM)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
SQLITE_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
SQLITE_READONLY = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


def sqlite_reason(error: object) -> int:
    """Return the number by which SQLite names why it failed, 0 for another's error; the rest of its bits is detail."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def refused_by_disk(error: BaseException | None) -> Unavailable | None:
    """Return the sentence for an error that a disk without room, or a missing right, is at the bottom of; else None."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FORBIDDEN and error.filename:
            return Unavailable(
                f"{error.filename} may not be used by this user: {error.strerror}.", "Give the right to, and try again."
            )
        full = isinstance(error, OSError) and error.errno in FULL
        if full or sqlite_reason(error) in (*SQLITE_FULL, *SQLITE_READONLY):
            where = f" to {error.filename}" if isinstance(error, OSError) and error.filename else ""
            said = error.strerror if isinstance(error, OSError) else str(error)
            return Unavailable(
                f"The disk takes nothing that is written{where}: {said}.",
                f"Make room where MLOPS_HOME lies; `mlops doctor` says how much there is. {KEPT}",
            )
        error = error.__cause__ or error.__context__
    return None
