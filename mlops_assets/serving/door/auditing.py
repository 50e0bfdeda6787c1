"""Who tried to change what they may not: an entry in the ledger, few enough that nobody can fill it so."""

import asyncio
import time
from collections.abc import Collection

from mlops_assets.core.errors import PlatformError
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.keys import EVERY_LINE
from mlops_assets.serving.door.access import Caller
from mlops_assets.serving.door.access_log import AccessLog
from mlops_assets.serving.door.routing import Target

WINDOW_SECONDS = 600


class Auditor:
    """Writes one entry for each caller, route and line in ten minutes, however often it is tried."""

    def __init__(self, platform: Platform, log: AccessLog) -> None:
        self._platform = platform
        self._log = log
        self._lines: Collection[str] = {line.line for line in platform.lines()}
        self._window = 0
        self._written: set[str] = set()

    async def refused(self, caller: Caller, method: str, target: Target) -> None:
        """Record that a caller was refused, before the answer tells them."""
        window = int(time.time() / WINDOW_SECONDS)
        if window != self._window:
            self._window, self._written = window, set()
        named = target.parameters.get("line", "")
        line = named if named in self._lines else EVERY_LINE
        key = f"refused_access:{caller.name}:{method}:{target.path}:{line}:{window}"
        if key in self._written:
            return
        self._written.add(key)
        body = {"method": method, "route": target.path, "role": caller.role, "needed": target.role}
        try:
            await asyncio.to_thread(
                self._platform.ledger.append, "refused_access", line, actor=caller.name, body=body, key=key
            )
        except (PlatformError, OSError) as error:  # refused all the same; the log says what the ledger could not
            self._written.discard(key)
            self._log.failure(error, caller=caller.name, route=target.path)
