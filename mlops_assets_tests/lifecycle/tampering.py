"""What someone with the database file and no scruples would do."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any


def tamper(home: Path, statement: str, *values: object) -> None:
    """Run one statement on a home's platform tables, the ledger's triggers dropped."""
    with closing(sqlite3.connect(home / "platform.db")) as connection, connection:
        connection.execute("DROP TRIGGER IF EXISTS ledger_refuses_update")
        connection.execute("DROP TRIGGER IF EXISTS ledger_refuses_delete")
        connection.execute(statement, values)


def rewrite(home: Path, asset: str, batch_id: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite every record of an asset of a batch in place."""
    with closing(sqlite3.connect(home / "platform.db")) as connection, connection:
        where = "asset = ? AND batch_id = ? AND body IS NOT NULL"
        for number, body in connection.execute(f"SELECT id, body FROM records WHERE {where}", (asset, batch_id)):
            document = json.loads(body)
            change(document)
            connection.execute("UPDATE records SET body = ? WHERE id = ?", (json.dumps(document), number))
