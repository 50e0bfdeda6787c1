"""Durable checkpoints of the agent: a question outlives the process that asked it.

SQLite by default, in a file only its owner can read; Postgres by URL. Checkpoints are read with an empty allow-list:
bytes that name a class are refused, because the state is JSON.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.core.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

SQLITE = "sqlite:///"
BUSY_SECONDS = 60


@contextmanager
def checkpointer(url: str) -> Iterator["BaseCheckpointSaver"]:
    """Open the checkpoints at `url` (sqlite:///FILE or postgresql://...), making what is missing."""
    if url.startswith(SQLITE):
        with closing(_connect(Path(url.removeprefix(SQLITE)))) as connection:
            yield _sqlite(connection)
    elif url.startswith(("postgresql://", "postgres://")):
        with _postgres(url) as saver:
            yield saver
    else:
        raise ConfigError(f"MLOPS_CHECKPOINTS_URL cannot be '{url}'.", "Give sqlite:///FILE or postgresql://...")


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    connection = sqlite3.connect(path, check_same_thread=False, timeout=BUSY_SECONDS)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _sqlite(connection: sqlite3.Connection) -> "BaseCheckpointSaver":
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
    from langgraph.checkpoint.sqlite import SqliteSaver

    return SqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))


@contextmanager
def _postgres(url: str) -> Iterator["BaseCheckpointSaver"]:
    try:
        from langgraph.checkpoint.postgres import PostgresSaver
        from psycopg import Connection
        from psycopg.rows import DictRow, dict_row
    except ImportError as error:
        raise MissingExtra("Checkpoints in Postgres need a package.", "pip install 'mlops_assets[scale]'") from error
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    with Connection[DictRow].connect(
        url,
        autocommit=True,
        prepare_threshold=0,
        row_factory=dict_row,  # pyright: ignore[reportArgumentType]
    ) as connection:
        saver = PostgresSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        saver.setup()
        yield saver
