"""Keys of the gateway's callers: made once, shown once, kept as a hash; whoever gives or takes one is in the ledger."""

import re
import secrets
from datetime import timedelta

from mlops_assets.core.clock import utc_text
from mlops_assets.core.digests import sha256_bytes
from mlops_assets.core.errors import NotFound, UsageError
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.serving import AccessRole, ApiKey

PREFIX = "mlops_"
BITS = 256
EVERY_LINE = "*"  # the ledger's line of what concerns the whole platform
OWN_NAMES = ("agent", "dagster", "platform", "policy", "sensor", "watch")  # what the ledger calls the platform's parts
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def issue(platform: Platform, name: str, role: AccessRole, *, days: float | None, actor: str) -> tuple[str, ApiKey]:
    """Make a key and return it with its record; it cannot be shown again. `days` is how long it counts, None for ever.

    UsageError for a name that is none (it becomes the ledger's actor); Refused if the name has a key already.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be the name of a key.",
            "Use up to 64 letters, digits and . _ @ -, such as 'shop-backend'.",
        )
    if name.lower() in OWN_NAMES:
        raise UsageError(
            f"'{name}' is what the ledger calls a part of the platform.",
            "Name the key after a person or a program.",
        )
    if days is not None and not 0 < days <= 36_500:
        raise UsageError(f"A key cannot count for {days:g} days.", "Give a number of days above 0, at most 36500.")
    now = platform.clock()
    secret = PREFIX + secrets.token_hex(BITS // 8)
    key = ApiKey(
        name=name,
        role=role,
        sha256=sha256_bytes(secret.encode()),
        created_at=utc_text(now),
        expires_at=None if days is None else utc_text(now + timedelta(days=days)),
    )
    platform.keys.add(key)
    platform.ledger.append(
        "key_issued",
        EVERY_LINE,
        actor=actor,
        body={"name": name, "role": role, "expires_at": key.expires_at},
        key=f"key_issued:{key.sha256}",
    )
    return secret, key


def revoke(platform: Platform, name: str, *, actor: str) -> ApiKey:
    """Make a name's key worthless; every gateway refuses it within two seconds. NotFound lists the names there are.

    What a crash, or a full disk, kept out of the ledger is written there when it is asked for again.
    """
    try:
        key = platform.keys.revoke(name)
    except NotFound:
        revoked = [each for each in platform.keys.list() if each.name == name]
        told = [entry for entry in platform.ledger.entries(EVERY_LINE, "key_revoked") if entry.body["name"] == name]
        if len(revoked) == len(told):
            raise
        key = revoked[-1]
    platform.ledger.append(
        "key_revoked", EVERY_LINE, actor=actor, body={"name": name, "role": key.role}, key=f"key_revoked:{key.sha256}"
    )
    return key
