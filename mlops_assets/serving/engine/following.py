"""What makes a gateway follow what is published: a stat of a small file every 50 ms, and the database each second.

The event loop polls the files, so that a rollback takes effect at once even while the database is away; whatever asks
the database, the artifact store or an alert's receiver does so in a thread.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlops_assets.core.errors import Corrupt
from mlops_assets.core.line import Line
from mlops_assets.core.ports.mirrors import Alert
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.deployment.publishing import arms
from mlops_assets.lifecycle.evaluation.judged import Judged, judged
from mlops_assets.serving.engine.lines import ServedLine
from mlops_assets.serving.engine.workers import ServedModel

POLL_SECONDS = 0.05
RECONCILE_SECONDS = 1.0
GOLDEN_ITEMS = 8  # that a version is asked before it gets traffic
log = logging.getLogger(__name__)


class Following:
    """Keeps every line of a platform at what its pointer names; `name` is the gateway's, for alerts."""

    def __init__(self, platform: Platform, name: str) -> None:
        self.lines: Mapping[str, ServedLine] = {each.line: ServedLine(each, self._load) for each in platform.lines()}
        self._platform = platform
        self._name = name
        self._alerts = ThreadPoolExecutor(1, "alerts")
        self._challengers: dict[str, tuple[int, str, str]] = {}
        self.problems: dict[str, str] = {}  # by line: why it does not follow the database
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Look at every line once, and go on looking."""
        await asyncio.to_thread(self._catch_up)
        self._follow()
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._reconcile())]

    async def stop(self) -> None:
        """Answer whoever waits and end every process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(model.close() for line in self.lines.values() for model in line.models()))
        await asyncio.gather(*self._closing, return_exceptions=True)
        self._alerts.shutdown(wait=False)

    def _load(self, line: Line, version: int, servable: str, path: str) -> ServedModel:
        def known() -> Judged:
            try:
                return judged(self._platform, line, self._platform.versions.get(line.line, version), items=GOLDEN_ITEMS)
            except Exception as error:  # it was compared before it was released; serving goes on while records are away
                log.warning("%s version %d is not compared with its evaluation: %s", line.line, version, error)
                return Judged()

        root = self._platform.root
        return ServedModel(line, version, servable, path, root=root, judged=known, told=self._told)

    def _told(self, model: ServedModel, why: str) -> None:
        """Route anew, for a version is ready or lost; tell people of what is lost."""
        name = model.line.line
        self._close(self.lines[name].settle())
        if not why:
            log.info("%s version %d is ready (process %s)", name, model.version, model.pid)
            return
        log.warning("%s version %d: %s", name, model.version, why)
        alert = Alert(
            key=f"serving:{name}:{model.version}:{model.servable}:{why[:200]}",
            title=f"{name} version {model.version} " + ("was lost" if model.usable else "gets no traffic"),
            text=f"{why[:2000]}. Gateway {self._name} starts it again.",
            line=name,
        )
        self._alerts.submit(tried, self._platform.alerts.send, alert)

    def _close(self, models: Sequence[ServedModel]) -> None:
        for model in models:
            task = asyncio.ensure_future(model.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self._follow()

    def _follow(self) -> None:
        """Take over what is published; a file that cannot be read changes nothing."""
        for name, line in self.lines.items():
            try:
                live = self._platform.serving.live(name)
            except (OSError, Corrupt):  # `_catch_up` writes it anew
                continue
            challenger = self._challengers.get(name)
            if live is not None and (live is not line.live or line.lacks(challenger)):
                self._close(line.follow(live, challenger))

    async def _reconcile(self) -> None:
        while True:
            await asyncio.sleep(RECONCILE_SECONDS)
            await asyncio.to_thread(self._catch_up)

    def _catch_up(self) -> None:
        """Publish here what another host has moved: the database is the authority, the file follows."""
        for name, line in self.lines.items():
            try:
                self._publish(line.line)
                self.problems.pop(name, None)
            except Exception as error:  # of the database, the store or the disk: the versions that are loaded go on
                if self.problems.get(name) != str(error):
                    log.warning("%s does not follow the database: %s", name, error)
                self.problems[name] = str(error)

    def _publish(self, line: Line) -> None:
        platform = self._platform
        pointer = platform.versions.pointer(line.line)
        try:
            live = platform.serving.live(line.line)
        except Corrupt as error:
            log.warning("%s", error)
            live = None
        if "production" in pointer.roles and (live is None or live.revision < pointer.revision):
            platform.serving.publish(pointer, arms(platform, line, pointer))
        if line.challenger and line.challenger.version and line.line not in self._challengers:
            version = platform.versions.get(line.line, line.challenger.version)
            folder = str(platform.store.folder(version.servable))
            self._challengers[line.line] = version.version, version.servable, folder


def tried(work: Callable[[Any], None], argument: Any) -> None:
    """Do what matters less than answering; say if it fails."""
    try:
        work(argument)
    except Exception as error:
        log.warning("%s failed: %s", getattr(work, "__qualname__", work), error)
