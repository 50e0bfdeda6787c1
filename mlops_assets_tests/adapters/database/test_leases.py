import signal
import threading
import time

import pytest

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.leases import SqlLeases
from mlops_assets.core.errors import Busy
from mlops_assets_tests.adapters.processes import race, start

HOLD = """
import sys
from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.leases import SqlLeases
with SqlLeases(Database(sys.argv[1]), ttl_seconds=0.6, beat_seconds=0.1).hold("speech", holder="run-1", wait_seconds=0):
    print("held", flush=True)
    sys.stdin.readline()
"""

COUNT = """
import sys, pathlib
from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.leases import SqlLeases
leases = SqlLeases(Database(sys.argv[1]))
counter = pathlib.Path(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(5):
    with leases.hold("speech", holder=sys.argv[3], wait_seconds=60):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def held_elsewhere(database: Database):
    process = start(HOLD, database.url)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n", process.communicate()[1]
    return process


def test_a_live_holder_is_named_and_kept(database: Database) -> None:
    leases = SqlLeases(database, ttl_seconds=2)
    process = held_elsewhere(database)
    assert leases.holder("speech") == "run-1"
    with (
        pytest.raises(Busy, match=f"run-1 .process {process.pid}"),
        leases.hold("speech", holder="b", wait_seconds=2.5),
    ):
        pass
    process.communicate("done\n")
    assert leases.holder("speech") is None
    with leases.hold("speech", holder="b", wait_seconds=0):
        assert leases.holder("speech") == "b"


def test_a_dead_holder_of_this_host_is_taken_over_at_once(database: Database) -> None:
    leases = SqlLeases(database, ttl_seconds=3600)
    process = held_elsewhere(database)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert leases.holder("speech") is None
    with leases.hold("speech", holder="b", wait_seconds=0):
        assert leases.holder("speech") == "b"
    process.communicate()


def test_a_silent_holder_is_taken_over_after_the_waiters_ttl(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A stopped process stands for one on another host: it exists, and beats no more."""
    leases, patient = SqlLeases(database, ttl_seconds=0.6), SqlLeases(database, ttl_seconds=3600)
    process = held_elsewhere(database)
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(Busy), patient.hold("speech", holder="b", wait_seconds=0.2):
        pass
    began = time.monotonic()
    with leases.hold("speech", holder="b", wait_seconds=30):
        assert time.monotonic() - began >= 0.6
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate("done\n")
        assert process.returncode == 0
        assert leases.holder("speech") == "b", "the one that woke up must not release what it lost"
    assert "b took over speech from run-1" in caplog.text
    assert errors in ("", "run-1 lost the lease speech: it was silent for too long\n")


def test_the_same_holder_enters_again_in_its_process(database: Database) -> None:
    outer, inner = SqlLeases(database), SqlLeases(database)
    with outer.hold("speech", holder="a", wait_seconds=0):
        with inner.hold("speech", holder="a", wait_seconds=0):
            pass
        assert outer.holder("speech") == "a"
        with pytest.raises(Busy), inner.hold("speech", holder="b", wait_seconds=0):
            pass
        with inner.hold("other", holder="b", wait_seconds=0):
            pass
    assert outer.holder("speech") is None


def test_an_error_releases(database: Database) -> None:
    leases = SqlLeases(database)
    with pytest.raises(ZeroDivisionError), leases.hold("speech", holder="a", wait_seconds=0):
        _ = 1 / 0
    assert leases.holder("speech") is None


def test_threads_of_one_process_exclude_one_another(database: Database) -> None:
    leases = SqlLeases(database)
    inside, most = 0, 0

    def enter(holder: str) -> None:
        nonlocal inside, most
        with leases.hold("speech", holder=holder, wait_seconds=60):
            inside += 1
            most = max(most, inside)
            time.sleep(0)
            inside -= 1

    threads = [threading.Thread(target=enter, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_processes_exclude_one_another(database: Database, tmp_path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    race(COUNT, [[database.url, str(counter), holder] for holder in ("a", "b", "c")])
    assert counter.read_text() == "15"


def test_a_lease_that_cannot_be_freed_does_not_undo_the_work_and_ends_by_itself(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    leases = SqlLeases(sqlite, ttl_seconds=0.2)

    def only_read(wanted: str) -> None:
        with sqlite.read() as connection:
            connection.exec_driver_sql(f"PRAGMA query_only = {wanted}")

    with leases.hold("speech", holder="a", wait_seconds=0):
        only_read("ON")
    assert "is not freed at once" in caplog.text
    only_read("OFF")
    with leases.hold("speech", holder="b", wait_seconds=30):
        assert leases.holder("speech") == "b"
