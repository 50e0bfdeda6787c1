"""What a version has to show before it gets traffic: that it answers as it did when it was judged."""

import asyncio
from pathlib import Path

import orjson
from pydantic import JsonValue

from mlops_assets.core.line import Serving
from mlops_assets.lifecycle.evaluation.judged import Judged
from mlops_assets.lifecycle.evaluation.serving_check import alike
from mlops_assets.serving.engine.exchange import Inputs, replies_of
from mlops_assets.serving.engine.frames import Blob
from mlops_assets.serving.engine.process import Ended, WorkerProcess


async def prove(process: WorkerProcess, judged: Judged, serving: Serving) -> None:
    """Ask a process what its version was judged on; Ended if it does not answer, or answers otherwise.

    ValueError for an answer that is none.
    """
    inputs = Inputs.of([await asyncio.to_thread(_blob, each) for each in judged.inputs])
    answers: list[JsonValue] = []
    for some in inputs.chunks(serving.max_batch):
        try:
            async with asyncio.timeout(serving.timeout_seconds):
                said = await process.exchange([some.letters, *some.parts])
        except TimeoutError:
            process.kill("it did not answer its golden items in time")
            raise Ended("it did not answer its golden items in time") from None
        replies = replies_of(said, len(some))
        if wrong := next((each for each in replies if not each.body), None):
            raise Ended(f"it cannot answer a golden item: {wrong.problem or wrong.why}")
        answers += [orjson.loads(each.body) for each in replies]
    for at, (given, wanted) in enumerate(zip(answers, judged.answers, strict=False)):
        if not alike(given, wanted):
            raise Ended(f"it answers golden item {at + 1} otherwise than when it was judged")


def _blob(given: Path | JsonValue) -> JsonValue | Blob:
    return Blob(given.read_bytes()) if isinstance(given, Path) else given
