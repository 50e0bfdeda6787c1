"""Released versions and the roles they hold; a role moves only if nobody moved one meanwhile."""

import builtins
import json
from collections.abc import Mapping

import sqlalchemy as sa

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.tables import pointers, versions
from mlops_assets.core.digests import canonical_json
from mlops_assets.core.errors import NotFound, Refused, Stale
from mlops_assets.core.ports.releases import Pointer, Role, Version
from mlops_assets.core.serving import Rollout


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

    def move(self, line: str, expected: Pointer, roles: Mapping[Role, int], rollout: Rollout | None = None) -> Pointer:
        """Set all roles and the rollout if the pointer is still `expected`, else raise Stale.

        NotFound for a version there is not, Refused for a retired one.
        """
        with self._database.write() as connection:
            current = _pointer(connection, line)
            if current != expected:
                raise Stale(
                    f"Line {line} moved to revision {current.revision} ({_roles(current)}) since it was read at "
                    f"revision {expected.revision} ({_roles(expected)}).",
                    "Decide again against what is in production now.",
                )
            rows = connection.execute(
                sa.select(versions.c.version, versions.c.retired_at).where(versions.c.line == line)
            )
            known = {row.version: row.retired_at for row in rows}
            for role, version in roles.items():
                if version not in known:
                    raise NotFound(f"Line {line} has no version {version} to make {role}.")
                if known[version] is not None:
                    raise Refused(f"Version {version} of {line} was retired at {known[version]}.", "Name another one.")
            moved = Pointer(line=line, revision=current.revision + 1, roles=dict(roles), rollout=rollout)
            values = {
                "revision": moved.revision,
                "roles": canonical_json(moved.roles),
                "rollout": None if rollout is None else rollout.canonical_json(),
            }
            if current.revision == 0:
                connection.execute(pointers.insert().values(line=line, **values))
            else:
                connection.execute(pointers.update().where(pointers.c.line == line).values(**values))
            return moved

    def retire(self, line: str, version: int) -> Version:
        """Mark a version as one that cannot serve again; Refused while it has a role."""
        chosen = self.get(line, version)
        with self._database.write() as connection:
            held = [role for role, number in _pointer(connection, line).roles.items() if number == version]
            if held:
                raise Refused(f"Version {version} of {line} is {', '.join(held)}.", "Give that role to another first.")
            if chosen.retired_at is not None:
                return chosen
            now = self._database.now()
            mine = (versions.c.line == line) & (versions.c.version == version)
            connection.execute(versions.update().where(mine).values(retired_at=now))
            return chosen.model_copy(update={"retired_at": now})

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
    rollout = None if row.rollout is None else Rollout.parse_peer(row.rollout)
    return Pointer(line=line, revision=row.revision, roles=json.loads(row.roles), rollout=rollout)


def _roles(pointer: Pointer) -> str:
    return ", ".join(f"{role} {version}" for role, version in sorted(pointer.roles.items())) or "no version"
