"""Opening the platform's database: SQLite in a file, or Postgres, by URL alone.

SQLite runs with a write-ahead log and a full fsync at every commit. Connections are kept open: whoever closes a file's
last one writes the log back into it, which would cost every transaction two more fsyncs. Writers take the one write
lock before they read (BEGIN IMMEDIATE; on Postgres an advisory lock of the transaction), so that every read-then-write
of the adapters is serial, on both, without retries.
"""

import logging
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import tenacity
from sqlalchemy import event, exc

from mlops_assets.adapters.database.failures import told
from mlops_assets.core.clock import Clock, utc_now, utc_text
from mlops_assets.core.errors import ConfigError

HEAD = "0004"
BUSY_SECONDS = 30
POSTGRES_LOCK = 0x6D6C6F7073  # "mlops"


class Database:
    """The tables at a SQLAlchemy URL, created or migrated to the newest schema when opened.

    Opening is safe in several processes at once. A SQLite file is created with mode 0600.
    `clock` stamps rows for people to read; nothing is ordered by it.
    Raises ConfigError for a URL that cannot be opened and for a database that a newer release has migrated. This, and
    every transaction, raise Unavailable where disk or server refuse, Busy where others keep the lock, Corrupt for a
    damaged file.
    """

    def __init__(self, url: str, *, clock: Clock = utc_now) -> None:
        self.url = url
        self._clock = clock
        try:
            self._address = sa.make_url(url)
            self._reader = _engine(self._address)
            self._writer = self._reader.execution_options(write=True)
            weakref.finalize(self, self._reader.dispose)
            self._migrate()
        except (exc.ArgumentError, exc.NoSuchModuleError, ImportError, OSError) as error:
            raise ConfigError(
                f"The platform database cannot be opened: {error}.",
                "Check MLOPS_DATABASE_URL, that the server is up, and that the folder can be written.",
            ) from error

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection that sees one consistent state."""
        with told(self._address), self._reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Give a connection that is the only writer until the block ends; it commits, or rolls back on an error."""
        with told(self._address), self._writer.connect() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(POSTGRES_LOCK)))
            yield connection

    def now(self) -> str:
        """Return the time as it is stored: UTC, ISO 8601, milliseconds."""
        return utc_text(self._clock())

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._reader.dispose()

    def _migrate(self) -> None:
        with self.read() as connection:
            if _revision(connection) == HEAD:
                return
        with self.write() as connection:
            revision = _revision(connection)
            if revision == HEAD:
                return
            _upgrade(connection, revision)


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    if not url.database or url.database == ":memory:":
        raise ConfigError("The platform database needs a file.", "Give a URL such as sqlite:////path/to/platform.db.")
    _create(Path(url.database))
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _on_connect(connection: Any, _: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone leaves the bytes in the drive's cache
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        _use_log(connection)


@tenacity.retry(
    retry=tenacity.retry_if_exception_message(match=".*locked"),
    wait=tenacity.wait_random(0.01, 0.1),
    stop=tenacity.stop_after_delay(BUSY_SECONDS),
    reraise=True,
)
def _use_log(connection: Any) -> None:
    """Switch a new file to the write-ahead log; SQLite does not wait for others here, whatever the timeout."""
    connection.execute("PRAGMA journal_mode = WAL")


def _on_begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: sa.Connection, revision: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise ConfigError(
            f"The platform database has schema {revision}, which this release does not know.",
            "Install the release that migrated it, or a newer one.",
        )
    command.upgrade(config, HEAD)
