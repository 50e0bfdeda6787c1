"""Log-in of browsers: a key is given once and a cookie stands for it from then on.

The cookie holds a name, an end and a signature over both and the key's hash: it ends with the key, and holds nothing
that opens anything else. The signing secret and what was logged out are files in the home, so that gateways of one home
share them, and a restart logs nobody out or in.
"""

import base64
import binascii
import hmac
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from mlops_assets.serving.door.access import Caller, Keyring

COOKIE = "mlops_session"
HOURS = 12
_SECRET_BYTES = 32


class Sessions:
    """Makes and reads session tokens; one that was logged out is refused by every gateway of its home."""

    def __init__(self, home: Path, keyring: Keyring) -> None:
        self._secret = _signing_secret(home)
        self._ended = home / "gateway" / "ended"
        self._keyring = keyring

    def begin(self, caller: Caller) -> str | None:
        """Return a token for a caller, None if they have no key any more."""
        ends = str(int(time.time() + HOURS * 3600))
        name = base64.urlsafe_b64encode(caller.name.encode()).decode()
        sign = self._sign(caller.name, ends)
        return sign and f"{name}.{ends}.{sign}"

    def caller(self, token: str) -> Caller | None:
        """Return whose token it is; None for one that is wrong, ended, or whose key no longer counts."""
        try:
            encoded, ends, sign = token.split(".")
            name = base64.urlsafe_b64decode(encoded).decode()
            over = int(ends) <= time.time()
        except (ValueError, binascii.Error):
            return None
        right = self._sign(name, ends)
        if right is None or over or not hmac.compare_digest(right.encode(), sign.encode()):
            return None
        return None if (self._ended / sign).exists() else self._keyring.named(name)

    def end(self, token: str) -> None:
        """Refuse a token from now on, if it is one that counts; an empty file by the name of its signature says so."""
        if self.caller(token) is None:
            return
        self._ended.mkdir(exist_ok=True)
        for old in self._ended.iterdir():
            if old.stat().st_mtime < time.time() - HOURS * 3600:
                old.unlink(missing_ok=True)
        (self._ended / token.rpartition(".")[2]).touch()

    def _sign(self, name: str, ends: str) -> str | None:
        sha256 = self._keyring.sha256(name)
        return sha256 and hmac.new(self._secret, f"{name}\n{ends}\n{sha256}".encode(), "sha256").hexdigest()


def _signing_secret(home: Path) -> bytes:
    """Return the secret of a home, made at first, whole or not at all; only its owner can read the file."""
    path = home / "gateway" / "session.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        partial.touch(0o600)
        partial.write_bytes(secrets.token_bytes(_SECRET_BYTES))
        with suppress(FileExistsError):  # another gateway was quicker: its secret counts
            path.hardlink_to(partial)
        partial.unlink()
    return path.read_bytes()
