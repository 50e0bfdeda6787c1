"""A version that does not load, or answers otherwise than it was judged, gets no traffic."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.serving.engine.answering import Answer
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit
from mlops_assets_tests.serving.engine.engine_fixture import USERS, load, serving, serving_sport
from mlops_assets_tests.serving.versions import broken, roll_out, serve, until


@pytest.mark.parametrize("strategy", ["canary", "blue_green"])
def test_a_version_that_does_not_load_gets_no_traffic_and_the_beat_says_so(tmp_path: Path, strategy) -> None:
    platform, line, one = serving_sport(tmp_path)
    two = broken(platform, line)
    roll_out(platform, line, two, 0.5 if strategy == "canary" else 0.0, strategy=strategy)

    def beat_of_it() -> str:
        beats = platform.watch.gateways(datetime.now(UTC) - timedelta(minutes=1))
        said = [each for beat in beats for each in beat.lines.get(line.line, ()) if each.version == two.version]
        return said[0].problem if said and said[0].state == "failed" else ""

    async def main() -> list[Answer]:
        async with serving(platform) as engine:
            await engine.ready(line.line)
            await until(beat_of_it)
            assert "ValidationError" in beat_of_it()
            return [answer for user in USERS for answer in await engine.predict(line, ["a"], user=user)]

    assert {(answer.version, answer.failure) for answer in asyncio.run(main())} == {(one.version, "")}


def test_production_that_does_not_load_leaves_the_one_before_it_answering(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path)
    two = broken(platform, line)

    async def main() -> None:
        async with serving(platform, line, one) as engine:
            async with load(engine, line, callers=2) as answers:
                serve(platform, line, two)
                await until(lambda: "failed" in {each.state for each in engine.loaded()[line.line]})
                seen = len(answers)
                await until(lambda: len(answers) > seen + 50)
            assert {answer.version for _, answer in answers} == {one.version}

    asyncio.run(main())


def test_a_version_that_answers_otherwise_than_it_was_judged_gets_no_traffic(tmp_path: Path) -> None:
    platform, line = open_light_line(tmp_path)
    run(platform, line, submit(platform, line, "good"))
    judged, base = (platform.versions.get(line.line, number) for number in (2, 1))
    pointer = platform.versions.pointer(line.line)
    swapped = judged.model_copy(update={"servable": base.servable})

    async def main() -> str:
        async with serving(platform, line, judged) as engine:
            moved = platform.versions.move(line.line, pointer, pointer.roles)
            platform.serving.publish(moved, [("production", swapped, 1.0)])
            await until(lambda: "failed" in {each.state for each in engine.loaded()[line.line]})
            (answer,) = await engine.predict(line, ["music1 music2"])
            assert answer.shown == "music"
            return next(each.problem for each in engine.loaded()[line.line] if each.state == "failed")

    assert "otherwise than" in asyncio.run(main())
