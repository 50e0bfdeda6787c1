"""One served version: its worker process, those who wait for it, and what happens when it dies, hangs or is no good.

Requests that come while the process is at work wait, and go together as one frame: under load that is batching, and
an idle model answers at once. Copies that nobody waits for go only when nobody else does, several at once.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from mlops_assets.core.errors import Busy
from mlops_assets.core.line import Line
from mlops_assets.core.serving import ServedVersion
from mlops_assets.lifecycle.evaluation.judged import Judged
from mlops_assets.serving.engine.exchange import Ask, Inputs, Reply, replies_of
from mlops_assets.serving.engine.frames import Servable
from mlops_assets.serving.engine.process import Ended, WorkerProcess
from mlops_assets.serving.engine.proving import prove

LOAD_SECONDS = 300.0
TICK_SECONDS = 0.05
MEMORY_TICKS = 10  # between two looks at the process's memory
BACKGROUND = 32  # copies that may wait
GATHER_SECONDS = 0.01  # that a first copy waits for others: one by one they would cost as much as the answers
COPIES_SECONDS = 0.005  # that a frame of copies may take, for whoever asks meanwhile waits for it
FIRST_DELAY, LONGEST_DELAY = 0.25, 30.0  # seconds before a process that failed twice in a row is started again
ATTEMPTS = 2  # processes that one request may be given to


class ServedModel:
    """One version of a line, answered by a process of its own that is replaced when it is lost.

    `told(model, why)` is called whenever its state changes, with a sentence if it is for the worse.
    """

    def __init__(
        self,
        line: Line,
        version: int,
        servable: str,
        path: str,
        *,
        root: Path,
        judged: Callable[[], Judged],
        told: Callable[["ServedModel", str], None],
    ) -> None:
        self.line, self.version, self.servable = line, version, servable
        self.state: Literal["loading", "ready", "failed"] = "loading"
        self.problem = ""
        self.shed = 0
        self._wanted = Servable(family=line.family, config=line.config, path=path, folder="")
        self._root, self._judged, self._told = root, judged, told
        self._known: Judged | None = None
        self._loop = asyncio.get_running_loop()
        self._begun: WorkerProcess | None = None
        self._process: WorkerProcess | None = None  # once it may be asked
        self._flight: list[Ask] = []  # what the process was given, and has not answered
        self._queue: deque[Ask] = deque()
        self._background: deque[Ask] = deque()
        self._gathering: asyncio.TimerHandle | None = None
        self._seconds = COPIES_SECONDS  # that each input of the last frame took
        self._waiting = 0
        self._lost = 0  # processes in a row that answered nobody
        self._closing = False
        self._idle = asyncio.Event()
        self._tasks = [asyncio.create_task(self._supervise()), asyncio.create_task(self._tick())]

    @property
    def usable(self) -> bool:
        """Say whether it answers, or will in a moment: its first process in a row was lost and a new one loads."""
        return self._process is not None or (self.state == "ready" and self._lost < ATTEMPTS)

    @property
    def pid(self) -> int | None:
        """The number of its process, if one is ready."""
        return self._process.pid if self._process else None

    def summary(self) -> ServedVersion:
        """Return what a beat says of it."""
        return ServedVersion(
            version=self.version,
            servable=self.servable,
            state=self.state,
            waiting=self._waiting,
            shed=self.shed,
            problem=self.problem,
        )

    def ask(self, inputs: Inputs, *, deadline: float, patient: bool) -> "asyncio.Future[list[Reply]]":
        """Queue at most `max_batch` inputs; the future is their replies, in order, by `deadline` (perf_counter).

        Busy if too many wait. `patient` asks wait for a new process if this one dies; others fail at once.
        """
        if self._waiting + len(inputs) > self.line.serving.queue:
            self.shed += 1
            raise Busy(f"Too many requests wait for {self.line.line}.", "Send it again in a second.")
        ask = Ask(inputs, deadline, patient, self._loop.create_future())
        self._waiting += len(inputs)
        self._queue.append(ask)
        self._pump()
        return ask.replies

    def copy(self, inputs: Inputs, *, deadline: float) -> Ask | None:
        """Queue a copy that nobody waits for, to be answered when nobody else waits; None if there are many."""
        if self._process is None or len(self._background) >= BACKGROUND:
            return None
        ask = Ask(inputs, deadline, False, self._loop.create_future())
        if not self._background:
            self._gathering = self._loop.call_later(GATHER_SECONDS, self._gathered)
        self._background.append(ask)
        return ask

    async def close(self) -> None:
        """Answer whoever waits, then end the process; nobody may ask any more."""
        self._closing = True
        self._drop(self._background, "closed")
        if (self._queue or self._flight) and self.usable:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.line.serving.timeout_seconds):
                    await self._idle.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._give_up("closed")

    async def _supervise(self) -> None:
        while True:
            process = self._begun = WorkerProcess()
            fit = False
            try:
                why = await self._serve(process)
                fit = True
            except Exception as error:  # whatever it is: nobody else would start the version again, or tell of it
                why = str(error) if isinstance(error, Ended) else f"{type(error).__name__}: {error}"
            finally:
                self._process = None
                await asyncio.shield(process.close())
            self._lost += 1
            self.problem = why
            if not fit or self._lost >= ATTEMPTS:
                self.state = "failed"
            self._land(why)
            self._told(self, why)
            if self.state == "failed":
                self._give_up(why)
            delay = FIRST_DELAY * 2 ** min(self._lost - ATTEMPTS, 20) if self._lost >= ATTEMPTS else 0
            await asyncio.sleep(min(delay, LONGEST_DELAY))

    async def _serve(self, process: WorkerProcess) -> str:
        """Start a process and see that it is fit, give it work until it ends, and return why it ended."""
        await process.start(self._wanted, root=self._root, seconds=LOAD_SECONDS)
        if self._known is None:
            self._known = await asyncio.to_thread(self._judged)
        await prove(process, self._known, self.line.serving)
        self._process = process
        self.state = "ready"
        self._told(self, "")
        self._pump()
        return await process.ended

    def _pump(self) -> None:
        """Give the process what waits, if it has nothing to do."""
        if self._process is None or self._flight:
            return
        asks: list[Ask] = []
        room = self.line.serving.max_batch
        while self._queue and (not asks or len(self._queue[0].inputs) <= room):
            if asks and self._queue[0].attempts:
                break
            ask = self._queue.popleft()
            self._waiting -= len(ask.inputs)
            if ask.replies.done():
                continue
            asks.append(ask)
            room -= len(ask.inputs)
            if ask.attempts:
                break  # it may be what killed the last process: alone, it takes nobody with it
        if not asks and self._background and self._gathering is None:
            asks = self._copies()
        if not asks:
            if self._closing:
                self._idle.set()
            return
        self._fly(self._process, asks)

    def _gathered(self) -> None:
        self._gathering = None
        self._pump()

    def _copies(self) -> list[Ask]:
        """Take the copies of one frame."""
        copies: list[Ask] = []
        room = min(self.line.serving.max_batch, COPIES_SECONDS / self._seconds)
        while self._background and (not copies or len(self._background[0].inputs) <= room):
            copies.append(self._background.popleft())
            room -= len(copies[-1].inputs)
        return copies

    def _fly(self, process: WorkerProcess, asks: list[Ask]) -> None:
        now = time.perf_counter()
        for ask in asks:
            ask.attempts += 1
            ask.began = now
        self._flight = asks
        if len(asks) == 1:
            letters, parts = asks[0].inputs.letters, asks[0].inputs.parts
        else:
            letters = b"".join(ask.inputs.letters for ask in asks)
            parts = [part for ask in asks for part in ask.inputs.parts]
        process.send([letters, *parts], self._returned)

    def _returned(self, said: list[bytes]) -> None:
        """Hand out what the process answered; a process that is lost is dealt with by `_supervise`."""
        flight = self._flight
        if not flight:
            return
        size = sum(len(ask.inputs) for ask in flight)
        replies = replies_of(said, size)
        self._flight = []
        self._seconds = (time.perf_counter() - flight[0].began) / size
        if self._lost:
            self._lost, self.problem = 0, ""
        at = 0
        for ask in flight:
            if not ask.replies.done():
                ask.replies.set_result(replies[at : at + len(ask.inputs)])
            at += len(ask.inputs)
        self._pump()

    def _land(self, why: str) -> None:
        """Answer those whose process was lost, or put them at the head of the queue for the next one."""
        flight, self._flight = self._flight, []
        now = time.perf_counter()
        for ask in reversed(flight):
            if now >= ask.deadline:
                ask.fail("timeout", f"it took longer than {self.line.serving.timeout_seconds:g} s")
            elif ask.patient and ask.attempts < ATTEMPTS and self.state == "ready":
                self._queue.appendleft(ask)
                self._waiting += len(ask.inputs)
            else:
                ask.fail("crashed", why)

    def _give_up(self, why: str) -> None:
        for ask in self._flight:
            ask.fail("unavailable", why)
        self._drop(self._queue, why)
        self._drop(self._background, why)
        self._waiting = 0

    def _drop(self, queue: deque[Ask], why: str) -> None:
        while queue:
            queue.popleft().fail("unavailable", why)

    async def _tick(self) -> None:
        """End a process that hangs or grows, and the waiting of those whose time is up."""
        ticks = 0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            ticks += 1
            now = time.perf_counter()
            for queue in (self._queue, self._background):
                for ask in [each for each in queue if each.deadline <= now]:
                    queue.remove(ask)
                    self._waiting -= len(ask.inputs) if queue is self._queue else 0
                    ask.fail("overloaded", "it waited too long for others to be answered")
            if self._process is not None and any(ask.deadline <= now for ask in self._flight):
                self._process.kill("it did not answer in time")
            elif ticks % MEMORY_TICKS == 0 and self._begun is not None:
                self._begun.hold_to(self.line.serving.memory_gb)
