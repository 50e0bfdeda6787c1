"""A line's language model, asked beside the line by threads of its own: its provider may be slow, and nobody waits."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import orjson
from pydantic import JsonValue

from mlops_assets.core.line import Challenger, Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.challenge.contrasting import challenged
from mlops_assets.serving.engine.answering import Doubled
from mlops_assets.serving.engine.frames import Blob

TOGETHER = 8  # questions to providers at once


class Rivals:
    """Asks the language models of a platform's lines what they would answer."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._threads = ThreadPoolExecutor(TOGETHER, "challenger")
        self._labels = {
            line.line: (challenged(platform, line), self._labels_of(line))
            for line in platform.lines()
            if line.challenger is not None and line.challenger.model is not None
        }

    async def __call__(self, line: Line, inputs: Sequence[JsonValue | Blob]) -> Sequence[Doubled]:
        """Return what the line's model says to each input; what it does not answer has a failure."""
        challenger, labels = self._labels[line.line]
        loop = asyncio.get_running_loop()
        asked = (loop.run_in_executor(self._threads, self._one, challenger, labels, each) for each in inputs)
        return await asyncio.gather(*asked)

    def _labels_of(self, line: Line) -> tuple[str, ...]:
        family = self._platform.family(line.family)
        return family.labels(family.Config.model_validate(line.config))

    def _one(self, challenger: Challenger, labels: Sequence[str], given: JsonValue | Blob) -> Doubled:
        if isinstance(given, Blob):
            return Doubled(failure="not_text")
        rival = self._platform.challengers.answer(challenger, given, labels)
        return Doubled(
            body=b"" if rival.label is None else orjson.dumps(rival.label),
            shown=rival.label or "",
            failure="" if rival.label is not None else "no_answer",
            cost=rival.cost,
            latency_ms=rival.latency_ms,
        )
