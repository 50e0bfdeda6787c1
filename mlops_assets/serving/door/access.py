"""Who is calling, and what they may do: keys, their roles, and how a route names the role it needs."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
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


@dataclass(frozen=True)
class _Held:
    caller: Caller
    sha256: str
    ends: float  # seconds since 1970

    @property
    def counts(self) -> bool:
        return time.time() < self.ends


def is_key(text: str) -> bool:
    """Say whether a text has the form of a key."""
    return _SECRET.fullmatch(text) is not None


class Keyring:
    """The keys that count, replaced whole whenever they were read again."""

    def __init__(self) -> None:
        self._by_hash: dict[str, _Held] = {}
        self._by_name: dict[str, _Held] = {}
        self._read = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the keys were read."""
        return time.monotonic() - self._read

    def replace(self, keys: Iterable[ApiKey]) -> None:
        """Take over the keys as they are now."""
        held = [_Held(Caller(key.name, key.role), key.sha256, _end(key)) for key in keys if key.revoked_at is None]
        self._by_hash = {each.sha256: each for each in held}
        self._by_name = {each.caller.name: each for each in held}
        self._read = time.monotonic()

    def caller(self, secret: str) -> Caller | None:
        """Return whose key this is; None for one that is wrong, revoked or expired."""
        # By the hash of 256 random bits: how long this takes tells nothing of a key.
        found = self._by_hash.get(sha256_bytes(secret.encode()))
        return found.caller if found is not None and found.counts else None

    def named(self, name: str) -> Caller | None:
        """Return who has a key by that name, if it counts."""
        found = self._by_name.get(name)
        return found.caller if found is not None and found.counts else None

    def sha256(self, name: str) -> str | None:
        """Return the hash of a name's key, None if there is none."""
        found = self._by_name.get(name)
        return found and found.sha256


def _end(key: ApiKey) -> float:
    return float("inf") if key.expires_at is None else datetime.fromisoformat(key.expires_at).timestamp()
