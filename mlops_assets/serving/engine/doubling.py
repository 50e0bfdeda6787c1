"""Copies of requests: to the other side of a rollout (shadow), and to a line's challenger (A/B). Nobody waits for them.

A copy is made after the answer, goes when nobody waits for the version that is asked, and is dropped when there are
too many. What the copy answered is recorded with whether it said the same.
"""

import asyncio
import functools
import random
import time
from collections.abc import Sequence
from typing import Literal

from pydantic import JsonValue

from mlops_assets.core.events import new_event_id
from mlops_assets.core.line import Challenger, Line
from mlops_assets.serving.engine.answering import Answer, AskChallenger, Doubled
from mlops_assets.serving.engine.exchange import Ask, Inputs, Reply
from mlops_assets.serving.engine.frames import Blob
from mlops_assets.serving.engine.lines import Routing
from mlops_assets.serving.engine.recording import Recorder, Seen
from mlops_assets.serving.engine.workers import ServedModel

MOST_ASKED = 32  # questions to language models under way
NOT_ASKED = ("unavailable", "overloaded")  # a copy that was shed says nothing of the version


class Doubling:
    """Makes the copies and records what became of them."""

    def __init__(self, recorder: Recorder, ask: AskChallenger | None) -> None:
        self._recorder = recorder
        self._ask = ask
        self._tasks: set[asyncio.Task[None]] = set()

    def after(
        self,
        line: Line,
        routing: Routing,
        model: ServedModel,
        given: Inputs,
        inputs: Sequence[JsonValue | Blob],
        answers: Sequence[Answer],
        deadline: float,
    ) -> None:
        """Copy a request that was answered, as often as the rollout and the line want it."""
        if routing.shadow and random.random() < routing.shadow:
            self._copy(line, "shadow", routing.counterpart(model), given, answers, deadline)
        if line.challenger is not None and random.random() < line.challenger.share:
            self._challenge(line, line.challenger, routing, given, inputs, answers)

    async def stop(self) -> None:
        """Ask nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _challenge(
        self,
        line: Line,
        challenger: Challenger,
        routing: Routing,
        given: Inputs,
        inputs: Sequence[JsonValue | Blob],
        answers: Sequence[Answer],
    ) -> None:
        if challenger.version is not None:
            deadline = time.perf_counter() + challenger.timeout_seconds
            self._copy(line, "challenger", routing.challenger, given, answers, deadline)
        elif self._ask is not None and len(self._tasks) < MOST_ASKED:
            task = asyncio.ensure_future(self._asked(line, self._ask, inputs, answers))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _copy(
        self,
        line: Line,
        arm: Literal["shadow", "challenger"],
        model: ServedModel | None,
        given: Inputs,
        answers: Sequence[Answer],
        deadline: float,
    ) -> None:
        if model is None:
            return
        # What the other side answered already, for the first one could not, has nothing to be compared with.
        places = [at for at, answer in enumerate(answers) if answer.body and answer.version != model.version]
        size = model.line.serving.max_batch
        for some in (places[at : at + size] for at in range(0, len(places), size)):
            copy = model.copy(given.chosen(some), deadline=deadline)
            if copy is None:
                return
            originals = [answers[at] for at in some]
            copy.replies.add_done_callback(functools.partial(self._copied, line, arm, model.version, originals, copy))

    def _copied(
        self,
        line: Line,
        arm: str,
        version: int,
        originals: Sequence[Answer],
        copy: Ask,
        replies: "asyncio.Future[list[Reply]]",
    ) -> None:
        took = (time.perf_counter() - copy.began) * 1000
        for answer, reply in zip(originals, replies.result(), strict=True):
            if reply.failure not in NOT_ASKED:
                doubled = Doubled(reply.body, reply.shown, reply.failure or ("refused" if reply.problem else ""))
                self._record(line, arm, version, answer, doubled, took)

    async def _asked(
        self, line: Line, ask: AskChallenger, inputs: Sequence[JsonValue | Blob], answers: Sequence[Answer]
    ) -> None:
        places = [at for at, answer in enumerate(answers) if answer.body]
        began = time.perf_counter()
        doubles = await ask(line, [inputs[at] for at in places])
        took = (time.perf_counter() - began) * 1000
        for at, doubled in zip(places, doubles, strict=True):
            self._record(line, "challenger", None, answers[at], doubled, doubled.latency_ms or took)

    def _record(
        self, line: Line, arm: str, version: int | None, answer: Answer, doubled: Doubled, latency_ms: float
    ) -> None:
        self._recorder.add(
            Seen(
                line=line,
                event_id=new_event_id(),
                version=version,
                arm=arm,
                latency_ms=latency_ms,
                error=doubled.failure or None,
                shown=doubled.shown if doubled.body else None,
                of=answer.prediction_id,
                agrees=doubled.shown == answer.shown if doubled.body else None,
                cost=doubled.cost,
                model=line.challenger.model if arm == "challenger" and line.challenger else None,
            )
        )
