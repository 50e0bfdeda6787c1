"""One model worker process as the gateway holds it: started, spoken to, ended."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import psutil

from mlops_assets.serving.engine import frames

COMMAND = (sys.executable, "-m", "mlops_assets.serving.engine.model_worker")
END_SECONDS = 5
GIGABYTE = 1 << 30


class Ended(Exception):
    """The process is gone, or no use any more; the text says why."""


class WorkerProcess(asyncio.Protocol):
    """A process that has loaded a servable; it does one exchange at a time."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = self.loop.create_future()
        self._frames = frames.Frames()
        self._answered: Callable[[list[bytes]], None] | None = None
        self._why = ""
        self._folder = tempfile.TemporaryDirectory(prefix="mlops-model-")
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._starting: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    async def start(self, servable: frames.Servable, *, root: Path, seconds: float) -> None:
        """Start the process and let it load; Ended says why it could not within `seconds`."""
        try:
            await self._begin(root)
        except OSError as error:
            raise Ended(f"no process could be started: {error}") from error
        wanted = servable.model_copy(update={"folder": self._folder.name})
        try:
            async with asyncio.timeout(seconds):  # wait_for of Python 3.11 would lose a cancellation that comes with it
                said = await self.exchange([wanted.canonical_json().encode()])
        except TimeoutError:
            self.kill(f"it did not load within {seconds:g} s")
            raise Ended(self._why) from None
        if said[0] != frames.READY:
            self.kill(said[-1].decode())
            raise Ended(self._why)

    async def _begin(self, root: Path) -> None:
        self._socket, theirs = socket.socketpair()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}

        def started() -> None:
            with theirs:
                self._process = subprocess.Popen(
                    [*COMMAND, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=2,  # what a library prints is no output of the gateway
                    pass_fds=[theirs.fileno()],
                    env=environment,
                    cwd=root,
                    start_new_session=True,
                )

        self._starting = asyncio.ensure_future(asyncio.to_thread(started))
        await asyncio.shield(self._starting)
        transport, _ = await self.loop.create_connection(lambda: self, sock=self._socket)
        self._transport = cast(asyncio.Transport, transport)

    async def exchange(self, parts: Sequence[bytes]) -> list[bytes]:
        """Send a frame and return the answering one; Ended if the process ends before."""
        answer: asyncio.Future[list[bytes]] = self.loop.create_future()
        self.send(parts, lambda said: None if answer.done() else answer.set_result(said))
        await asyncio.wait((answer, self.ended), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise Ended(self.ended.result())
        return answer.result()

    def send(self, parts: Sequence[bytes], answered: Callable[[list[bytes]], None]) -> None:
        """Send a frame; `answered` takes the answering one as it arrives, or raises ValueError: then the process ends.

        A future would cost every prediction one more turn of the event loop, and each turn gives Python away.
        """
        assert self._answered is None, "one exchange at a time"
        assert self._transport is not None, "not started"
        self._answered = answered
        if not self._transport.is_closing():  # else `ended` is about to say why
            self._transport.write(frames.packed(parts))

    @property
    def pid(self) -> int | None:
        """The process's number, once it is started."""
        return self._process and self._process.pid

    def hold_to(self, memory_gb: float) -> None:
        """End it if it uses more resident memory than that."""
        if self.pid is None:
            return
        with suppress(psutil.Error):
            used = psutil.Process(self.pid).memory_info().rss / GIGABYTE
            if used > memory_gb:
                self.kill(f"it used {used:.2f} GB of its {memory_gb:g} GB")

    def kill(self, why: str) -> None:
        """End it now."""
        self._why = self._why or why
        if self._process is not None:
            self._process.kill()
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Hang up, and see that it ends."""
        if self._starting is not None:
            with suppress(OSError):
                await self._starting  # a process that is being started while it is closed has to end, too
        if self._transport is not None:
            self._transport.close()
        elif self._socket is not None:
            self._socket.close()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        if self._process is not None:
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._folder.cleanup()

    def data_received(self, data: bytes) -> None:
        """Take in what the process says."""
        try:
            for parts in self._frames.feed(data):
                answered, self._answered = self._answered, None
                if answered is None:
                    raise ValueError("it said something without being asked")
                answered(parts)
        except ValueError as error:
            self.kill(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits that the process is gone."""
        if not self.ended.done():
            self.ended.set_result(self._why or "the process died")
