"""The keys of the gateway's callers: names, roles and hashes, never a key itself."""

import builtins

import sqlalchemy as sa

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.tables import api_keys
from mlops_assets.core.errors import NotFound, Refused
from mlops_assets.core.serving import ApiKey


class SqlKeys:
    """Fills `Keys`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: ApiKey) -> None:
        """Store a key; Refused if the name has one that is not revoked."""
        with self._database.write() as connection:
            if connection.execute(sa.select(api_keys.c.id).where(_valid(key.name))).first():
                raise Refused(f"{key.name} has a key already.", f"`mlops keys revoke {key.name}` first.")
            connection.execute(api_keys.insert().values(**key.model_dump()))

    def list(self) -> builtins.list[ApiKey]:
        """Return every key, oldest first, revoked ones too."""
        with self._database.read() as connection:
            return [_key(row) for row in connection.execute(sa.select(api_keys).order_by(api_keys.c.id))]

    def revoke(self, name: str) -> ApiKey:
        """Make a name's key worthless; NotFound lists the names there are."""
        with self._database.write() as connection:
            row = connection.execute(sa.select(api_keys).where(_valid(name))).one_or_none()
            if row is not None:
                now = self._database.now()
                connection.execute(api_keys.update().where(api_keys.c.id == row.id).values(revoked_at=now))
                return _key(row).model_copy(update={"revoked_at": now})
        names = ", ".join(each.name for each in self.list() if each.revoked_at is None)
        raise NotFound(f"{name} has no key.", f"There are keys of {names}." if names else "There are no keys.")


def _valid(name: str) -> sa.ColumnElement[bool]:
    return (api_keys.c.name == name) & api_keys.c.revoked_at.is_(None)


def _key(row: sa.Row) -> ApiKey:
    fields = dict(row._mapping)
    del fields["id"]
    return ApiKey.model_validate(fields)
