import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mlops_assets.adapters.database.engine import HEAD, Database
from mlops_assets.adapters.database.tables import metadata
from mlops_assets.core.errors import ConfigError
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
    with pytest.raises(ConfigError):
        Database(url)
