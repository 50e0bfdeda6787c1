"""The gateway's heart: it follows what is published of every line, and answers by the version that is meant to.

Everything here runs in one event loop; models run in processes of their own, and whatever touches the database runs
in threads beside it.
"""

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from mlops_assets.core.clock import utc_text
from mlops_assets.core.errors import Busy, NotFound, PlatformError, Unavailable
from mlops_assets.core.events import COLD_ANSWERS, new_event_id
from mlops_assets.core.family import Media
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.serving import Beat, Live, ServedVersion
from mlops_assets.serving.engine.answering import Answer, AskChallenger
from mlops_assets.serving.engine.doubling import Doubling
from mlops_assets.serving.engine.exchange import Inputs, Reply
from mlops_assets.serving.engine.faults import Fault, Faults
from mlops_assets.serving.engine.following import Following, tried
from mlops_assets.serving.engine.frames import Blob
from mlops_assets.serving.engine.lines import ArmName, Routing, ServedLine
from mlops_assets.serving.engine.recording import Recorder, Seen
from mlops_assets.serving.engine.workers import ServedModel

BEAT_SECONDS = 1.0


@dataclass(slots=True)
class _Request:
    """What somebody asked; times are of `perf_counter`. `unstored` are predictions of which the answer waits."""

    line: Line
    inputs: Sequence[JsonValue | Blob]
    given: Inputs
    user: str | None
    began: float
    deadline: float
    unstored: list[Seen]


class Engine:
    """Serves every line of a platform; `ask_challenger` asks the language model of a line that has one.

    `faults` are harm done on purpose to versions that are being rolled out.
    """

    def __init__(
        self, platform: Platform, *, ask_challenger: AskChallenger | None = None, faults: Sequence[Fault] = ()
    ) -> None:
        self.platform = platform
        self.recorder = Recorder(platform)
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._known: dict[str, tuple[Line, Media]] = {
            line.line: (line, platform.family(line.family).media) for line in platform.lines()
        }
        self._following = Following(platform, self.name)
        self._lines = self._following.lines
        self._doubling = Doubling(self.recorder, ask_challenger)
        self._faults = Faults(faults) if faults else None
        self._answered: dict[int | None, int] = {}  # by process, up to COLD_ANSWERS
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow; returns when every line has been looked at, not when its versions have loaded."""
        self.recorder.start()
        await self._following.start()
        self._beating = asyncio.create_task(self._beat())

    async def stop(self) -> None:
        """Answer whoever waits, end every process and store what was predicted."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        await self._following.stop()
        await self._doubling.stop()
        await asyncio.to_thread(self.recorder.stop)

    async def ready(self, line: str, seconds: float = 60) -> None:
        """Wait until a line answers; Unavailable if it does not within `seconds`."""
        ends = time.monotonic() + seconds
        while self._lines[line].routing.choose("")[0] is None:
            if time.monotonic() > ends:
                raise Unavailable(f"{line} does not answer.", _problems(self._lines[line]))
            await asyncio.sleep(0.01)

    def loaded(self) -> dict[str, tuple[ServedVersion, ...]]:
        """Return what every line that serves something has loaded."""
        return {name: line.summary() for name, line in self._lines.items() if line.live is not None}

    def known(self, line: str) -> tuple[Line, Media]:
        """Return a line and what its family is given; NotFound lists the lines."""
        found = self._known.get(line)
        if found is None:
            raise NotFound(f"There is no line '{line}'.", f"The lines are: {', '.join(sorted(self._known))}.")
        return found

    def live(self, line: str) -> Live | None:
        """Return what this gateway follows for a line."""
        return self._lines[line].live

    def process(self, line: str) -> int | None:
        """Return the number of the process that answers as a line's production, if one does."""
        model = self._lines[line].routing.production
        return model and model.pid

    def waiting(self) -> dict[str, int]:
        """Return how many inputs of each line wait for a model."""
        return {name: sum(each.waiting for each in line.summary()) for name, line in self._lines.items()}

    async def predict(
        self, line: Line, inputs: Sequence[JsonValue | Blob], *, user: str | None = None, began: float | None = None
    ) -> list[Answer]:
        """Return an answer for each input, all by one version unless that fails.

        `began` is when the request was complete (perf_counter). Without `user`, chance chooses the version. Raises Busy
        when too many wait, Unavailable when no version can answer or a line with `durable_predictions` cannot store
        them, TypeError for what JSON cannot say.
        """
        began = time.perf_counter() if began is None else began
        served = self._lines[line.line]
        routing = served.routing
        ids = [new_event_id() for _ in inputs]
        model, arm = routing.choose(user if user is not None else ids[0])
        if model is None:
            raise Unavailable(f"{line.line} cannot answer now.", _problems(served))
        given = Inputs.of(inputs)
        deadline = began + line.serving.timeout_seconds
        request = _Request(line, inputs, given, user, began, deadline, [])
        if model is routing.rollout and routing.other(model)[0] is not None:
            replies = await _tried_out(model, given, deadline - line.serving.timeout_seconds / 2)
            if self._faults is not None:
                replies = await self._faults.injected(line.line, model.version, replies)
        else:
            replies = await _asked(model, given, deadline)
        answers = self._seen(request, ids, inputs, replies, model, arm)
        failed = [at for at, reply in enumerate(replies) if reply.failure]
        if failed:
            await self._again(request, routing, answers, failed, model)
        if request.unstored:
            await self.recorder.store(request.unstored, deadline - time.perf_counter())
        self._doubling.after(line, routing, model, given, inputs, answers, deadline)
        return answers

    async def _again(
        self, request: _Request, routing: Routing, answers: list[Answer], failed: Sequence[int], model: ServedModel
    ) -> None:
        """Ask another version what the first one could not answer; only the one being rolled out is doubted so."""
        other, arm = routing.other(model)
        gone = all(answers[at].failure != "model_error" for at in failed)
        if other is None or not (model is routing.rollout or gone) or time.perf_counter() >= request.deadline:
            return
        try:
            replies = await _asked(other, request.given.chosen(failed), request.deadline)
        except PlatformError:
            return
        some = [request.inputs[at] for at in failed]
        ids, of = [new_event_id() for _ in failed], [answers[at].prediction_id for at in failed]
        made = self._seen(request, ids, some, replies, other, arm, of)
        for at, answer in zip(failed, made, strict=True):
            answers[at] = answer

    def _seen(
        self,
        request: _Request,
        ids: Sequence[str],
        inputs: Sequence[JsonValue | Blob],
        replies: Sequence[Reply],
        model: ServedModel,
        arm: ArmName,
        of: Sequence[str | None] | None = None,
    ) -> list[Answer]:
        """Record what a version made of inputs, `of` the predictions that failed before, and return the answers."""
        latency = (time.perf_counter() - request.began) * 1000
        answered = self._answered.get(model.pid, 0)
        cold = answered < COLD_ANSWERS
        if cold:
            self._answered[model.pid] = answered + len(inputs)
        line = request.line
        take = request.unstored.append if line.serving.durable_predictions else self.recorder.add
        together = ids[0] if len(ids) > 1 else None
        answers = []
        for name, given, reply, failed in zip(ids, inputs, replies, of or [None] * len(ids), strict=True):
            known = None if reply.problem else name
            answer = Answer(known, model.version, arm, latency, *reply)
            answers.append(answer)
            if known is None:
                continue
            kept = {"input": given, "output": answer.output} if line.collection.keep_payloads else {}
            take(
                Seen(
                    line=line,
                    event_id=known,
                    version=model.version,
                    arm=arm,
                    latency_ms=latency,
                    error=reply.failure or None,
                    user=request.user,
                    shown=reply.shown if reply.body else None,
                    of=failed,
                    request=together,
                    cold=cold or None,
                    **kept,
                )
            )
        return answers

    async def _beat(self) -> None:
        while True:
            now = utc_text(self.platform.clock())
            beat = Beat(
                gateway=self.name,
                at=now,
                lines=self.loaded(),
                unrecorded=self.recorder.lost,
                problems=dict(self._following.problems),
            )
            await asyncio.to_thread(tried, self.platform.watch.beat, beat)
            await asyncio.sleep(BEAT_SECONDS)


async def _asked(model: ServedModel, inputs: Inputs, deadline: float) -> list[Reply]:
    size = model.line.serving.max_batch
    if len(inputs) <= size:
        return await model.ask(inputs, deadline=deadline, patient=True)
    replies = [model.ask(some, deadline=deadline, patient=True) for some in inputs.chunks(size)]
    return [each for some in await asyncio.gather(*replies) for each in some]


async def _tried_out(model: ServedModel, inputs: Inputs, deadline: float) -> list[Reply]:
    """Ask a version that another one can stand in for: what it has no room for is its failure, and nobody else's."""
    try:
        return await _asked(model, inputs, deadline)
    except Busy as error:
        return [Reply(failure="overloaded", why=str(error))] * len(inputs)


def _problems(line: ServedLine) -> str:
    said = [f"Version {each.version}: {each.problem or each.state}." for each in line.summary()]
    return " ".join(said) or "It serves no version yet."
