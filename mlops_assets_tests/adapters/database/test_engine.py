import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import exc

from mlops_assets.adapters.database.engine import HEAD, Database
from mlops_assets.adapters.database.tables import metadata
from mlops_assets.core.errors import Busy, ConfigError, Corrupt, Unavailable
from mlops_assets_tests.adapters.processes import race

OPEN = """
import sys
from mlops_assets.adapters.database.engine import Database
print("ready", flush=True)
sys.stdin.readline()
database = Database(sys.argv[1])
with database.read() as connection:
    print(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())
"""


def test_the_migrations_end_in_the_tables(database: Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_several_processes_may_open_a_new_database_at_once(database_url: str) -> None:
    assert race(OPEN, [[database_url]] * 4) == [f"{HEAD}\n"] * 4


def test_sqlite_is_durable_and_private(sqlite: Database, tmp_path: Path) -> None:
    with sqlite.write() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}
    assert "platform.db-wal" in modes


def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    pointers = metadata.tables["pointers"]

    def fail() -> None:
        with database.write() as connection:
            connection.execute(pointers.insert().values(line="speech", revision=1, roles="{}"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.read() as connection:
        assert connection.execute(sa.select(pointers)).all() == []


def test_a_newer_schema_is_left_alone(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="9999"):
        Database(database.url)


@pytest.mark.parametrize(
    "url", ["nonsense", "sqlite://", "sqlite:////proc/none/platform.db", "postgresql://nobody@127.0.0.1:1/none"]
)
def test_a_database_that_cannot_be_opened_says_so(url: str) -> None:
    with pytest.raises((ConfigError, Unavailable), match=r"MLOPS_DATABASE_URL|Give a URL"):
        Database(url)


def pragma(database: Database, text: str) -> None:
    """Set up the one connection that a single caller is given again and again."""
    with database.read() as connection:
        connection.exec_driver_sql(f"PRAGMA {text}")


def fill(database: Database) -> None:
    with database.write() as connection:
        connection.execute(metadata.tables["pointers"].insert().values(line="x" * 10**5, revision=1, roles="{}"))


@pytest.mark.parametrize(
    ("limit", "lifted", "said"),
    [
        (
            "max_page_count = 1",
            "max_page_count = 1073741823",
            r"platform\.db.*full; its disk has .* MB free.*Make room",
        ),
        ("query_only = ON", "query_only = OFF", r"platform\.db.*readonly database.*Give the right to write"),
    ],
)
def test_a_disk_that_refuses_is_a_sentence_and_then_it_goes_on(
    sqlite: Database, limit: str, lifted: str, said: str
) -> None:
    pragma(sqlite, limit)
    with pytest.raises(Unavailable, match=said):
        fill(sqlite)
    pragma(sqlite, lifted)
    fill(sqlite)
    with sqlite.read() as connection:
        assert len(connection.execute(sa.select(metadata.tables["pointers"])).all()) == 1


def test_a_lock_that_others_keep_is_busy(sqlite: Database) -> None:
    pragma(sqlite, "busy_timeout = 1")
    with closing(sqlite3.connect(sqlite.url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="locked by another process"):
            fill(sqlite)
    fill(sqlite)


def test_a_damaged_file_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "platform.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Corrupt, match="backup"):
        Database(f"sqlite:///{tmp_path}/platform.db")


def test_a_wrong_statement_stays_an_error_of_ours(database: Database) -> None:
    with pytest.raises(exc.DBAPIError), database.read() as connection:
        connection.execute(sa.text("SELECT nothing FROM nowhere"))


def test_a_server_that_goes_away_is_a_sentence(request: pytest.FixtureRequest) -> None:
    opened = Database(request.getfixturevalue("postgres_url"))
    end = sa.text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(Unavailable, match="server is up"), opened.read() as connection:
        connection.execute(end)
    with opened.read() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
    opened.close()
