"""Model workers that are killed, hang, grow or lose their bytes are replaced, and none outlives its gateway."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil

from mlops_assets.core.line import Line, Serving
from mlops_assets.serving.engine.answering import Answer
from mlops_assets.serving.engine.engine import Engine
from mlops_assets_tests.lines import baseline_line
from mlops_assets_tests.serving.engine.engine_fixture import (
    load,
    predictions,
    process_of,
    processes,
    serving,
    serving_sport,
)
from mlops_assets_tests.serving.versions import answering, labels, platform_with, roll_out, serve, until


def test_a_killed_process_is_replaced_and_nobody_notices(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path)

    async def main() -> None:
        async with serving(platform, line, one) as engine, load(engine, line) as answers:
            for _ in range(2):
                (process,) = processes()
                os.kill(process, signal.SIGKILL)
                await until(lambda old=process: processes() - {old})
                seen = len(answers)
                await until(lambda least=seen + 50: len(answers) > least)

    asyncio.run(main())


def test_a_hung_process_costs_those_it_kept_waiting_and_no_other_line(tmp_path: Path) -> None:
    slow = baseline_line(tmp_path, serving=Serving(timeout_seconds=0.5))
    other = baseline_line(tmp_path, name="others")
    platform, _ = platform_with(tmp_path)
    platform = replace(platform, lines=lambda: [slow, other])
    serve(platform, slow, answering(platform, slow, "sport"))
    serve(platform, other, answering(platform, other, "music"))

    async def main() -> None:
        async with serving(platform) as engine:
            await engine.ready(slow.line)
            await engine.ready(other.line)
            hung = process_of(engine, slow)
            async with load(engine, other, callers=2) as answers:
                os.kill(hung, signal.SIGSTOP)
                (kept,) = await engine.predict(slow, ["a"])
                assert kept.failure == "timeout"
                assert kept.latency_ms < 5_000
                await until(lambda: engine.loaded()[slow.line][0].state == "ready" and hung not in processes())
                assert labels(await _answered(engine, slow)) == ["sport"]
            assert len(answers) > 20

    asyncio.run(main())
    assert Counter(each.error for each in predictions(platform, slow))["timeout"] >= 1


async def _answered(engine: Engine, line: Line) -> list[Answer]:
    """Ask until an answer comes."""
    for _ in range(100):
        answers = await engine.predict(line, ["a"])
        if not answers[0].failure:
            return answers
    raise AssertionError("no answer came")


def test_a_process_that_grows_beyond_its_memory_is_ended(tmp_path: Path) -> None:
    platform, line, _ = serving_sport(tmp_path, serving=Serving(memory_gb=0.02))

    async def main() -> None:
        async with serving(platform) as engine:
            await until(lambda: "GB of its 0.02 GB" in "".join(each.problem for each in engine.loaded()[line.line]))

    asyncio.run(main())


def test_production_whose_bytes_are_lost_is_stood_in_for(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path)
    two = answering(platform, line, "music")
    roll_out(platform, line, two, 0.0, strategy="blue_green")

    async def main() -> list[Answer]:
        async with serving(platform, line, one, two) as engine:
            process = process_of(engine, line)
            live = engine.live(line.line)
            assert live is not None
            for path in Path(live.production.path).rglob("*"):
                path.parent.chmod(0o755)
            shutil.rmtree(live.production.path)
            os.kill(process, signal.SIGKILL)
            await until(lambda: "failed" in {each.state for each in engine.loaded()[line.line]})
            return await engine.predict(line, ["a"])

    assert labels(asyncio.run(main())) == ["music"]


OWNER = """
import asyncio, sys
from pathlib import Path
from mlops_assets_tests.serving.engine.engine_fixture import processes, serving, serving_sport

async def main():
    async with serving(*serving_sport(Path(sys.argv[1]))):
        print(*processes(), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_model_worker_does_not_outlive_its_gateway(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        worker = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    psutil.wait_procs([worker], timeout=30)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
