"""What is answered, by whom, and what is remembered of it."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from mlops_assets.core.errors import Busy, Unavailable
from mlops_assets.core.line import Collection, Serving
from mlops_assets.serving.engine.answering import Answer
from mlops_assets_tests.serving.engine.engine_fixture import USERS, predictions, processes, serving, serving_sport
from mlops_assets_tests.serving.versions import BOOM, answering, failing, platform_with, roll_out, until


def test_answers_are_remembered_as_the_line_wants_it(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path, collection=Collection(keep_payloads=True))

    async def main() -> list[Answer]:
        async with serving(platform, line, one) as engine:
            return await engine.predict(line, ["a text", 7, "another"], user="ann")

    answers = asyncio.run(main())
    assert [(each.version, each.arm, each.shown, bool(each.problem)) for each in answers] == [
        (1, "production", "sport", False),
        (1, "production", "", True),
        (1, "production", "sport", False),
    ]
    remembered = predictions(platform, line)
    assert {each.event_id for each in remembered} == {answers[0].prediction_id, answers[2].prediction_id}
    assert answers[1].prediction_id is None
    first = next(each for each in remembered if each.event_id == answers[0].prediction_id)
    assert (first.user, first.version, first.arm, first.success, first.label) == ("ann", 1, "production", True, "sport")
    assert (first.input, first.output) == ("a text", answers[0].output)
    assert first.latency_ms == pytest.approx(answers[0].latency_ms)
    assert {each.request for each in remembered} == {answers[0].prediction_id}, "asked together, judged together"


def test_a_user_stays_with_one_version_and_shares_are_kept(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path)
    two = answering(platform, line, "music")
    roll_out(platform, line, two, 0.3)

    async def main() -> list[dict[str, int]]:
        async with serving(platform, line, one, two) as engine:
            rounds = []
            for _ in range(2):
                answers = await asyncio.gather(*(engine.predict(line, ["a"], user=user) for user in USERS))
                rounds.append({user: answer[0].version for user, answer in zip(USERS, answers, strict=True)})
            return rounds

    first, second = asyncio.run(main())
    assert first == second
    assert 30 <= Counter(first.values())[two.version] <= 90


def test_a_line_that_serves_nothing_says_so(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)

    async def main() -> None:
        async with serving(platform) as engine:
            with pytest.raises(Unavailable, match="serves no version yet"):
                await engine.predict(line, ["a"])

    asyncio.run(main())


def test_a_canary_that_cannot_answer_is_stood_in_for_and_blamed(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path)
    two = failing(platform, line, "music")
    roll_out(platform, line, two, 0.9)

    async def main() -> list[Answer]:
        async with serving(platform, line, one, two) as engine:
            return await engine.predict(line, ["a text", f"a {BOOM}"], user=USERS[0])

    answers = asyncio.run(main())
    assert [(each.version, each.arm, each.shown) for each in answers] == [
        (two.version, "canary", "music"),
        (one.version, "production", "sport"),
    ]
    remembered = Counter((each.version, each.arm, each.success, each.error) for each in predictions(platform, line))
    assert remembered == {
        (two.version, "canary", True, None): 1,
        (two.version, "canary", False, "model_error"): 1,
        (one.version, "production", True, None): 1,
    }


def test_more_than_may_wait_is_refused_and_counted(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path, serving=Serving(queue=4, max_batch=2))

    async def main() -> None:
        async with serving(platform, line, one) as engine:
            (process,) = processes()
            os.kill(process, signal.SIGSTOP)
            asked = [asyncio.create_task(engine.predict(line, ["a"])) for _ in range(10)]
            await until(lambda: engine.loaded()[line.line][0].shed == 5)
            os.kill(process, signal.SIGCONT)
            done = await asyncio.gather(*asked, return_exceptions=True)
            assert Counter(type(each) for each in done) == {list: 5, Busy: 5}

    asyncio.run(main())


def test_whoever_waits_when_the_gateway_ends_is_answered(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path)

    async def main() -> list[list[Answer]]:
        async with serving(platform, line, one) as engine:
            (process,) = processes()
            os.kill(process, signal.SIGSTOP)
            asked = [asyncio.create_task(engine.predict(line, ["a"])) for _ in range(40)]
            await until(lambda: engine.waiting()[line.line] > 0)
            ending = asyncio.create_task(engine.stop())
            os.kill(process, signal.SIGCONT)
            await ending
            assert not processes()
            return await asyncio.gather(*asked)

    answers = asyncio.run(main())
    assert {answer.shown for some in answers for answer in some} == {"sport"}
    assert len(predictions(platform, line)) == 40
