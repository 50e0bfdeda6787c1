"""Released versions and the roles they hold; a role moves only if nobody moved one meanwhile."""

import builtins
import json
from collections.abc import Mapping

import sqlalchemy as sa

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.tables import pointers, versions
from mlops_assets.core.digests import canonical_json
from mlops_assets.core.errors import NotFound, Stale
from mlops_assets.core.ports import Pointer, Role, Version


class SqlVersions:
    """Fills `Versions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        line: str,
        *,
        servable: str,
        model: str,
        batch_id: str | None,
        decision_id: str | None,
        parent_version: int | None,
    ) -> Version:
        """Number and store a version.

        One per (line, decision_id): the second call returns the first. Without a decision (the base model of a line)
        the servable takes its place.
        """
        same = versions.c.decision_id == decision_id
        if decision_id is None:
            same = versions.c.decision_id.is_(None) & (versions.c.servable == servable)
        with self._database.write() as connection:
            found = connection.execute(sa.select(versions).where(versions.c.line == line, same)).one_or_none()
            if found is not None:
                return _version(found)
            last = sa.select(sa.func.coalesce(sa.func.max(versions.c.version), 0)).where(versions.c.line == line)
            version = Version(
                line=line,
                version=connection.execute(last).scalar_one() + 1,
                servable=servable,
                model=model,
                batch_id=batch_id,
                decision_id=decision_id,
                parent_version=parent_version,
                deployed_at=self._database.now(),
            )
            connection.execute(versions.insert().values(**version.model_dump()))
            return version

    def get(self, line: str, version: int) -> Version:
        """Return a version; NotFound lists those there are."""
        known = self.list(line)
        for one in known:
            if one.version == version:
                return one
        numbers = ", ".join(str(one.version) for one in known)
        raise NotFound(
            f"Line {line} has no version {version}.", f"It has {numbers}." if known else "It has none yet: release one."
        )

    def pointer(self, line: str) -> Pointer:
        """Return the current roles (revision 0 and no roles for a new line)."""
        with self._database.read() as connection:
            return _pointer(connection, line)

    def move(self, line: str, expected: Pointer, roles: Mapping[Role, int]) -> Pointer:
        """Set all roles if the pointer is still `expected`, else raise Stale; NotFound for a version there is not."""
        with self._database.write() as connection:
            current = _pointer(connection, line)
            if current != expected:
                raise Stale(
                    f"Line {line} moved to revision {current.revision} ({_roles(current)}) since it was read at "
                    f"revision {expected.revision} ({_roles(expected)}).",
                    "Decide again against what is in production now.",
                )
            known = set(connection.scalars(sa.select(versions.c.version).where(versions.c.line == line)))
            for role, version in roles.items():
                if version not in known:
                    raise NotFound(f"Line {line} has no version {version} to make {role}.")
            moved = Pointer(line=line, revision=current.revision + 1, roles=dict(roles))
            values = {"revision": moved.revision, "roles": canonical_json(moved.roles)}
            if current.revision == 0:
                connection.execute(pointers.insert().values(line=line, **values))
            else:
                connection.execute(pointers.update().where(pointers.c.line == line).values(**values))
            return moved

    def list(self, line: str) -> builtins.list[Version]:
        """Return a line's versions, oldest first."""
        query = sa.select(versions).where(versions.c.line == line).order_by(versions.c.version)
        with self._database.read() as connection:
            return [_version(row) for row in connection.execute(query)]


def _version(row: sa.Row) -> Version:
    return Version.model_validate(dict(row._mapping))


def _pointer(connection: sa.Connection, line: str) -> Pointer:
    row = connection.execute(sa.select(pointers).where(pointers.c.line == line)).one_or_none()
    if row is None:
        return Pointer(line=line, revision=0, roles={})
    return Pointer(line=line, revision=row.revision, roles=json.loads(row.roles))


def _roles(pointer: Pointer) -> str:
    return ", ".join(f"{role} {version}" for role, version in sorted(pointer.roles.items())) or "no version"
