"""Copies of requests: to the other side of a rollout, and to another version beside the line."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

from mlops_assets.core.line import Challenger, Serving
from mlops_assets.serving.engine.answering import Answer
from mlops_assets_tests.serving.engine.engine_fixture import (
    USERS,
    predictions,
    process_of,
    processes,
    serving,
    serving_sport,
)
from mlops_assets_tests.serving.versions import BOOM, answering, failing, labels, roll_out, until


def test_copies_say_whether_the_other_side_agrees(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path)
    two = failing(platform, line, "music")
    roll_out(platform, line, two, 0.0, shadow=1.0)

    async def main() -> list[Answer]:
        async with serving(platform, line, one, two) as engine:
            answers = await engine.predict(line, ["a text", f"a {BOOM}"])
            await until(lambda: sum(each.arm == "shadow" for each in predictions(platform, line)) == 2)
            return answers

    answers = asyncio.run(main())
    assert labels(answers) == ["sport", "sport"]
    copies = {each.of: each for each in predictions(platform, line) if each.arm == "shadow"}
    told, failed = (copies[answer.prediction_id] for answer in answers)
    assert (told.version, told.label, told.agrees, told.success) == (two.version, "music", False, True)
    assert (failed.version, failed.label, failed.agrees, failed.success) == (two.version, None, None, False)


def test_copies_of_a_burst_are_all_made_and_those_that_nobody_can_answer_are_dropped(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path, serving=Serving(timeout_seconds=2))
    two = answering(platform, line, "music")
    roll_out(platform, line, two, 0.0, shadow=1.0)

    async def main() -> None:
        async with serving(platform, line, one, two) as engine:
            for at in range(3):
                await asyncio.gather(*(engine.predict(line, ["a text"], user=user) for user in USERS[:20]))
                await until(lambda at=at: len(predictions(platform, line)) == 40 * (at + 1))
            for process in processes() - {process_of(engine, line)}:
                os.kill(process, signal.SIGSTOP)
            for user in USERS[:50]:
                assert labels(await engine.predict(line, ["a text"], user=user)) == ["sport"]
            await until(lambda: len(predictions(platform, line)) >= 170)

    asyncio.run(main())
    arms = Counter(each.arm for each in predictions(platform, line))
    assert arms["production"] == 110
    copies = [each for each in predictions(platform, line) if each.arm == "shadow" and each.success]
    assert 60 <= len(copies) == len({each.of for each in copies}) < 110


def test_another_version_answers_beside_the_line(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path, challenger=Challenger(version=2, share=1.0))
    two = answering(platform, line, "sport", weight=50)

    async def main() -> None:
        async with serving(platform, line, one, two) as engine:
            await engine.predict(line, ["a text"], user="ann")
            await until(lambda: len(predictions(platform, line)) == 2)

    asyncio.run(main())
    first, double = sorted(predictions(platform, line), key=lambda each: each.arm, reverse=True)
    assert (first.arm, double.arm, double.version) == ("production", "challenger", two.version)
    assert (double.of, double.agrees) == (first.event_id, True)
