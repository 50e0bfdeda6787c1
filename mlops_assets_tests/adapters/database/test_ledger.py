import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import exc

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.ledger import GENESIS, SqlLedger
from mlops_assets.core.digests import sha256_json
from mlops_assets_tests.adapters.processes import race

APPEND = """
import sys
from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.ledger import SqlLedger
ledger = SqlLedger(Database(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(25):
    ledger.append("decision", "speech", actor=sys.argv[2], body={"number": number}, key=f"{number}")
    ledger.append("release", "speech", actor=sys.argv[2], body={}, key=f"{sys.argv[2]}{number}")
"""


def write_five(database: Database) -> SqlLedger:
    ledger = SqlLedger(database)
    for number in range(1, 6):
        ledger.append("decision", "speech", actor="agent", body={"number": number, "why": "ü"}, key=str(number))
    return ledger


def tamper(database: Database, *statements: str) -> None:
    """Do what someone with the file and no scruples would."""
    connection = sqlite3.connect(database.url.removeprefix("sqlite:///"))
    with connection:
        for statement in ("DROP TRIGGER ledger_refuses_update", "DROP TRIGGER ledger_refuses_delete", *statements):
            connection.execute(statement)
    connection.close()


def test_entries_chain(database: Database) -> None:
    ledger = write_five(database)
    entries = ledger.entries()
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.previous for entry in entries] == [GENESIS, *(entry.hash for entry in entries[:-1])]
    assert all(entry.hash == sha256_json(entry.model_dump(exclude={"hash"})) for entry in entries)
    assert ledger.verify() == []
    assert ledger.entries(line="speech", kind="decision") == entries
    assert ledger.entries(line="other") == ledger.entries(kind="release") == []


def test_the_same_key_is_one_entry(database: Database) -> None:
    ledger = write_five(database)
    again = ledger.append("release", "other", actor="eve", body={}, batch_id="b", key="3")
    assert again == ledger.entries()[2]
    assert len(ledger.entries()) == 5


def test_two_processes_append_one_chain(database: Database) -> None:
    race(APPEND, [[database.url, "ann"], [database.url, "bob"]])
    ledger = SqlLedger(database)
    assert len(ledger.entries()) == 75
    assert ledger.verify() == []


@pytest.mark.parametrize("statement", ["UPDATE ledger SET actor = 'eve'", "DELETE FROM ledger"])
def test_the_database_refuses_changes(database: Database, statement: str) -> None:
    write_five(database)
    with pytest.raises(exc.DBAPIError, match="append-only"), database.write() as connection:
        connection.execute(sa.text(statement))
    assert SqlLedger(database).verify() == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("""UPDATE ledger SET body = '{"number":3,"why":"x"}' WHERE sequence = 3""", "Entry 3 (decision of speech)"),
        ("UPDATE ledger SET body = 'garbage' WHERE sequence = 3", "Entry 3 (decision of speech)"),
        ("UPDATE ledger SET actor = 'eve' WHERE sequence = 5", "Entry 5 (decision of speech)"),
        ("DELETE FROM ledger WHERE sequence = 2", "Entry 2 is missing"),
        ("DELETE FROM ledger WHERE sequence IN (2, 3)", "Entries 2 to 3 are missing"),
        ("DELETE FROM ledger WHERE sequence = 1", "Entry 1 is missing"),
        ("DELETE FROM ledger WHERE sequence > 3", "Entries 4 to 5 are missing"),
        ("DELETE FROM ledger", "Entries 1 to 5 are missing"),
        ("DELETE FROM ledger_head", "The head of the chain is missing"),
        ("UPDATE ledger_head SET sequence = 4", "set back to entry 4 of 5"),
    ],
)
def test_tampering_is_named(sqlite: Database, statement: str, said: str) -> None:
    ledger = write_five(sqlite)
    tamper(sqlite, statement)
    assert any(said in sentence for sentence in ledger.verify()), ledger.verify()


def test_reordered_entries_are_named(sqlite: Database) -> None:
    ledger = write_five(sqlite)
    swap = ("UPDATE ledger SET sequence = {} WHERE sequence = {}".format(*pair) for pair in ((9, 2), (2, 3), (3, 9)))
    tamper(sqlite, *swap)
    assert {sentence.split(" (")[0].split(" does")[0] for sentence in ledger.verify()} == {
        "Entry 2",
        "Entry 3",
        "Entry 4",
    }


def test_a_rewritten_entry_with_a_fitting_hash_breaks_the_next_link(sqlite: Database) -> None:
    ledger = write_five(sqlite)
    entry = ledger.entries()[2].model_copy(update={"actor": "eve"})
    forged = sha256_json(entry.model_dump(exclude={"hash"}))
    tamper(sqlite, f"UPDATE ledger SET actor = 'eve', hash = '{forged}' WHERE sequence = 3")
    assert ledger.verify() == ["Entry 4 does not follow entry 3: one was moved or rewritten."]
    last = ledger.entries()[4].model_copy(update={"actor": "eve"})
    forged = sha256_json(last.model_dump(exclude={"hash"}))
    connection = sqlite3.connect(sqlite.url.removeprefix("sqlite:///"))
    with connection:
        connection.execute(f"UPDATE ledger SET actor = 'eve', hash = '{forged}' WHERE sequence = 5")
    connection.close()
    assert ledger.verify()[-1] == "Entry 5 is not the one that the chain ended with."


COLUMNS = ["kind", "line", "batch_id", "actor", "body", "at", "previous", "hash"]


@given(sequence=st.integers(1, 5), column=st.sampled_from(COLUMNS), text=st.text(st.characters(codec="utf-8")))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_single_edit_passes(tmp_path: Path, sequence: int, column: str, text: str) -> None:
    path = tmp_path / "platform.db"
    path.unlink(missing_ok=True)
    ledger = write_five(Database(f"sqlite:///{path}"))
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DROP TRIGGER ledger_refuses_update")
        connection.execute(f"UPDATE ledger SET {column} = ? WHERE sequence = ?", (f"x{text}", sequence))
    connection.close()
    assert ledger.verify() != []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE ledger SET actor = 'eve' WHERE sequence = 6", "Entry 6 (decision of speech)"),
        ("UPDATE ledger SET actor = 'eve' WHERE sequence = 5", "Entry 5 (decision of speech)"),
        ("DELETE FROM ledger WHERE sequence = 6", "Entry 6 is missing"),
        ("DELETE FROM ledger WHERE sequence = 5", "Entry 5 is missing"),
        ("DELETE FROM ledger WHERE sequence > 2", "Entries 5 to 7 are missing"),
    ],
)
def test_reading_on_from_a_whole_chain_finds_what_was_done_to_its_end(
    sqlite: Database, statement: str, said: str
) -> None:
    ledger = write_five(sqlite)
    assert ledger.verify() == ledger.verify(whole=False) == []
    for number in (6, 7):
        ledger.append("decision", "speech", actor="agent", body={"number": number}, key=str(number))
    tamper(sqlite, statement)
    assert any(said in sentence for sentence in ledger.verify(whole=False)), ledger.verify(whole=False)
    assert ledger.verify(whole=False) != []
    assert SqlLedger(sqlite).verify(whole=False) != []


def test_reading_on_notices_a_chain_that_was_rewritten_whole(sqlite: Database) -> None:
    ledger = write_five(sqlite)
    assert ledger.verify(whole=False) == []
    tamper(sqlite, "DELETE FROM ledger", "DELETE FROM ledger_head")
    other = SqlLedger(sqlite)
    for number in range(1, 7):
        other.append("decision", "speech", actor="eve", body={"number": number}, key=str(number))
    assert other.verify() == []
    assert ledger.verify(whole=False) != []


def test_the_newest_entries_of_a_line_are_read_alone_and_in_order(database: Database) -> None:
    ledger = SqlLedger(database)
    for number in range(6):
        ledger.append("submitted", "ab"[number % 2], actor="ann", body={"number": number}, key=str(number))
    assert [entry.body["number"] for entry in ledger.entries("a", newest=2)] == [2, 4]
    assert [entry.body["number"] for entry in ledger.entries(newest=1)] == [5]
    assert ledger.entries(newest=0) == []
