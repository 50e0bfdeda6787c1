"""A line that answers only what it has recorded: kill -9 of its gateway loses no answer that somebody got."""

import asyncio
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.core.errors import Unavailable
from mlops_assets.core.line import Serving
from mlops_assets.serving.engine.engine import Engine
from mlops_assets.serving.engine.recording import Recorder
from mlops_assets_tests.serving.engine.test_recording import Away, seen, stored, wait_for
from mlops_assets_tests.serving.versions import answering, failing, platform_with, ready, roll_out, serve

ANSWERS = 300
GATEWAY = """
import asyncio, sys
from pathlib import Path
from mlops_assets.core.line import Serving
from mlops_assets.serving.engine.engine import Engine
from mlops_assets_tests.serving.versions import answering, platform_with, ready, serve

platform, line = platform_with(Path(sys.argv[1]), serving=Serving(durable_predictions=True))
one = answering(platform, line, "sport")
serve(platform, line, one)

async def ask(engine):
    while True:
        print(*(each.prediction_id for each in await engine.predict(line, ["a text", "another"])), flush=True)

async def main():
    engine = Engine(platform)
    await engine.start()
    await ready(engine, line, one)
    await asyncio.gather(*(ask(engine) for _ in range(4)))

asyncio.run(main())
"""


def test_no_answer_is_lost_when_the_gateway_is_killed(tmp_path: Path) -> None:
    answered: list[str] = []
    with subprocess.Popen([sys.executable, "-c", GATEWAY, str(tmp_path)], stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        while len(answered) < ANSWERS:
            line = gateway.stdout.readline()
            assert line, "the gateway ended"
            answered += line.split()
        gateway.kill()
        whole, _, _ = gateway.stdout.read().rpartition("\n")
        answered += whole.split()
    platform, line = platform_with(tmp_path)
    assert platform.events.find(line.line, answered).keys() == set(answered)


def test_a_canary_that_failed_is_recorded_with_the_answer_that_stood_in(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path, serving=Serving(durable_predictions=True))
    one, two = answering(platform, line, "sport"), failing(platform, line, "music")
    serve(platform, line, one)
    roll_out(platform, line, two, 1.0)

    async def main() -> None:
        engine = Engine(platform)
        await engine.start()
        try:
            await ready(engine, line, one, two)
            (answer,) = await engine.predict(line, ["boom"])
            recorded = {each.event_id: each for each in stored(platform, line)}
            assert answer.prediction_id is not None
            assert recorded[answer.prediction_id].success
            assert sorted(each.arm for each in recorded.values()) == ["canary", "production"]
        finally:
            await engine.stop()

    asyncio.run(main())


def test_what_cannot_be_recorded_in_time_is_no_answer_and_is_recorded_later(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    away = Away(platform)
    recorder = Recorder(replace(platform, events=away))
    recorder.start()
    one = seen(line)
    with pytest.raises(Unavailable, match="no answer that it cannot record"):
        asyncio.run(recorder.store([one], 0))
    began = time.monotonic()
    with pytest.raises(Unavailable):
        asyncio.run(recorder.store([one], 60))
    assert time.monotonic() - began < 30, "what fails at once is told at once"
    away.back.set()
    wait_for(lambda: [each.event_id for each in stored(platform, line)] == [one.event_id])
    recorder.stop()
