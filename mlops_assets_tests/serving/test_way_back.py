"""A harmful version under real load: judged by what the gateway recorded, taken back, and nobody refused."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.core.events import COLD_ANSWERS, Prediction
from mlops_assets.core.line import Line, Release
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.deployment.rollout import deploy
from mlops_assets.lifecycle.monitoring.watching import look
from mlops_assets.serving.engine.answering import Answer
from mlops_assets.serving.engine.engine import Engine
from mlops_assets.serving.engine.faults import Fault
from mlops_assets_tests.serving.versions import BOOM, answering, failing, platform_with, ready, roll_out, serve, until

CALLERS, SECONDS = 8, 60
AFTER = 200  # answers, of which a tenth would be the new version's if it still had its share


def test_a_version_that_harms_is_at_0_percent_soon_after_the_verdict_and_nobody_is_refused(tmp_path: Path) -> None:
    asyncio.run(_taken_back(tmp_path))


def test_the_judge_is_told_of_stand_ins_and_of_a_process_that_has_just_begun(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    old, new = answering(platform, line, "music"), failing(platform, line, "music")
    serve(platform, line, old)
    roll_out(platform, line, new, 0.99)

    async def main() -> None:
        engine = Engine(platform)
        await engine.start()
        try:
            await ready(engine, line, old, new)
            for _ in range(COLD_ANSWERS + 1):
                await engine.predict(line, [f"a {BOOM}"], user="ann")
        finally:
            await engine.stop()

    asyncio.run(main())
    found = [each.event for each in platform.events.read(line.line, kind="prediction", limit=1_000)]
    by = {name: [e for e in found if isinstance(e, Prediction) and e.arm == name] for name in ("canary", "production")}
    assert [each.of for each in by["production"]] == [each.event_id for each in by["canary"]]
    for answers in by.values():
        assert [each.cold for each in answers] == [True] * COLD_ANSWERS + [None]


async def _taken_back(tmp_path: Path) -> None:
    release = Release(deployment_strategy="canary", step_requests=100_000)
    platform, line = platform_with(tmp_path, release=release)
    old, new = answering(platform, line, "music"), answering(platform, line, "music", weight=98.0)
    deploy(platform, line, old.version, actor="ann", reason="the first")
    engine = Engine(platform, faults=[Fault(line=line.line, version=new.version, errors=0.5)])
    await engine.start()
    answers: list[tuple[float, Answer]] = []
    going = asyncio.Event()
    try:
        await ready(engine, line, old)
        callers = [asyncio.create_task(call(engine, line, each, answers, going)) for each in range(CALLERS)]
        await asyncio.to_thread(deploy, platform, line, new.version, actor="ann", reason="a try")
        taken_back = await judged(platform, line)
        await until(lambda: sum(asked > taken_back + 1 for asked, _ in answers) > AFTER, SECONDS)
        going.set()
        await asyncio.gather(*callers)
    finally:
        await engine.stop()
    last = max(asked for asked, answer in answers if answer.version == new.version)
    assert last <= taken_back + 1, "0 % within a second of the verdict"
    assert {answer.failure for _, answer in answers} == {""}, "the version before answered for it"
    arms = Counter(answer.version for _, answer in answers)
    assert arms[new.version] < arms[old.version]
    entry = platform.ledger.entries(line.line, newest=1)[-1]
    assert (entry.kind, entry.actor) == ("rolled_back", "watch")


async def judged(platform: Platform, line: Line) -> float:
    """Look until the rollout was taken back; return when the verdict that did it was begun with."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        began = time.monotonic()
        await asyncio.to_thread(look, platform, line, datetime.now(UTC))
        if platform.ledger.entries(line.line, newest=1)[-1].kind == "rolled_back":
            return began
        await asyncio.sleep(0.05)
    raise AssertionError(f"not taken back: {platform.watch.state(line.line)}")


async def call(
    engine: Engine, line: Line, caller: int, answers: list[tuple[float, Answer]], stop: asyncio.Event
) -> None:
    at = 0
    while not stop.is_set():
        asked = time.monotonic()
        (answer,) = await engine.predict(line, ["music and more"], user=f"user{caller}-{at % 500}")
        answers.append((asked, answer))
        at += 1
        await asyncio.sleep(0.002)
