"""Real databases for the adapters: a SQLite file, and a Postgres server where one can be started."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.adapters.database.engine import Database


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    return f"sqlite:///{tmp_path}/platform.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/platform.db")
    yield opened
    opened.close()
