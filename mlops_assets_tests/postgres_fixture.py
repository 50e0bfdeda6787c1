"""A Postgres server where one can be started, and empty databases on it."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import tenacity


def _as_postgres(command: list[str]) -> list[str]:
    """Postgres refuses to run as root: use its own account then."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start a throw-away server; give its URL without a database."""
    if not all(shutil.which(command) for command in ("initdb", "postgres")):
        pytest.skip("no Postgres server is installed here")
    folder = Path(tempfile.mkdtemp(prefix="mlops-postgres-"))
    if os.geteuid() == 0:
        if shutil.which("runuser") is None or subprocess.run(["id", "postgres"], capture_output=True).returncode:
            pytest.skip("Postgres does not run as root, and there is no account postgres")
        shutil.chown(folder, "postgres")
    data = folder / "data"
    subprocess.run(
        _as_postgres(["initdb", "-D", str(data), "-U", "mlops", "-A", "trust", "--no-sync"]),
        check=True,
        capture_output=True,
        cwd=folder,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["-p", str(port), "-k", str(folder), "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            _as_postgres(["postgres", "-D", str(data), *options]), stdout=log, stderr=log, cwd=folder
        )
    url = f"postgresql://mlops@127.0.0.1:{port}"
    try:
        _wait_until_up(f"{url}/postgres", server)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder)


def _wait_until_up(url: str, server: subprocess.Popen[bytes]) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    for attempt in tenacity.Retrying(wait=tenacity.wait_fixed(0.05), stop=tenacity.stop_after_delay(30)):
        with attempt:
            assert server.poll() is None
            engine.connect().close()


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of an empty database in Postgres."""
    name = f"test_{os.urandom(6).hex()}"
    engine = sa.create_engine(f"{postgres_server}/postgres", isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    return f"{postgres_server}/{name}"
