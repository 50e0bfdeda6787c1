"""Keeps the keyring as new as the table: about each second, and at once for a key that is not known yet."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from mlops_assets.core.serving import ApiKey
from mlops_assets.serving.door.access import Keyring
from mlops_assets.serving.door.access_log import AccessLog
from mlops_assets.serving.metrics import Metrics

REFRESH_SECONDS = 1.0
LEAST_SECONDS = 0.02  # between two reads, however many unknown keys come


class KeyReader:
    """Reads the keys, in a thread that nobody else can keep busy."""

    def __init__(
        self, keyring: Keyring, read: Callable[[], Sequence[ApiKey]], metrics: Metrics, log: AccessLog
    ) -> None:
        self._keyring = keyring
        self._read = read
        self._metrics = metrics
        self._log = log
        self._reading = asyncio.Lock()
        self._began = 0.0
        self._thread = ThreadPoolExecutor(1, "keys")

    async def follow(self) -> None:
        """Read again and again until cancelled: what was revoked counts for nothing within two seconds."""
        try:
            while True:
                await asyncio.sleep(REFRESH_SECONDS)
                await self.refresh()
        finally:
            self._thread.shutdown(wait=False)

    async def refresh(self) -> None:
        """Return once the keys were read after this was called; if they cannot be, the last list counts on."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        async with self._reading:
            if self._began >= asked:
                return
            await asyncio.sleep(self._began + LEAST_SECONDS - asked)
            self._began = loop.time()
            try:
                self._keyring.replace(await loop.run_in_executor(self._thread, self._read))
            except Exception as error:  # the door says when the list is too old
                self._log.failure(error, what="the list of keys could not be read")
        self._metrics.keys_age.set(self._keyring.age)
