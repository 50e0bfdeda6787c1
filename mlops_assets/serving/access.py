"""Who is calling, and what they may do: keys, their roles, and how a route names the role it needs."""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Depends, Request

from mlops_assets.core.digests import sha256_bytes
from mlops_assets.core.serving import ACCESS, AccessRole, ApiKey

_SECRET = re.compile(r"mlops_[0-9a-f]{64}")


@dataclass(frozen=True)
class Caller:
    """Whose key it is; `name` is the actor in the ledger."""

    name: str
    role: AccessRole

    def may(self, role: AccessRole) -> bool:
        """Say whether the caller's role includes another."""
        return ACCESS.index(self.role) >= ACCESS.index(role)


class Needs:
    """What `requires` leaves on a route: the door reads the role here, the route gets the Caller."""

    def __init__(self, role: AccessRole) -> None:
        self.role: AccessRole = role

    async def __call__(self, request: Request) -> Caller:
        """Return who calls."""
        caller: Caller = request.scope["caller"]
        assert caller.may(self.role), "the door lets nobody pass who has not the role of the route"
        return caller


def requires(role: AccessRole) -> Any:
    """Return a dependency that gives the Caller: `caller: Annotated[Caller, requires("reviewer")]`.

    The door refuses everybody below that role before anything of the body is read.
    """
    return Depends(Needs(role))


class Keyring:
    """The keys that count, by hash; replaced whole whenever they were read again."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys: dict[str, tuple[ApiKey, Caller, float]] = {}
        self.replace(keys)

    def replace(self, keys: Iterable[ApiKey]) -> None:
        """Take over the keys as they are now."""
        self._keys = {
            key.sha256: (key, Caller(key.name, key.role), _end(key)) for key in keys if key.revoked_at is None
        }

    def caller(self, secret: str) -> Caller | None:
        """Return whose key this is; None for one that is wrong, revoked or expired."""
        if not _SECRET.fullmatch(secret):
            return None
        return self.holder(sha256_bytes(secret.encode()))

    def holder(self, sha256: str) -> Caller | None:
        """Return whose key has this hash, if it still counts."""
        found = self._keys.get(sha256)
        if found is None or not hmac.compare_digest(found[0].sha256, sha256):
            return None
        return found[1] if datetime.now(UTC).timestamp() < found[2] else None


def _end(key: ApiKey) -> float:
    return float("inf") if key.expires_at is None else datetime.fromisoformat(key.expires_at).timestamp()
