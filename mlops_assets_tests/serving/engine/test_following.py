"""A gateway follows what is published: versions come and go under load, and what cannot be read harms nobody."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlops_assets.serving.engine.answering import Answer
from mlops_assets_tests.serving.engine.engine_fixture import load, processes, serving, serving_sport
from mlops_assets_tests.serving.versions import answering, labels, ready, roll_out, serve, until


def test_a_version_is_replaced_under_load_without_a_failed_request(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path)
    two = answering(platform, line, "music")

    async def main() -> list[int]:
        async with serving(platform, line, one) as engine:
            old = processes()
            async with load(engine, line) as answers:
                await until(lambda: len(answers) > 100)
                serve(platform, line, two)
                await ready(engine, line, two)
                seen = len(answers)
                await until(lambda: len(answers) > seen + 100)
            await until(lambda: not old & processes())
            assert {answer.shown for _, answer in answers} == {"sport", "music"}
            return [answer.version for _, answer in answers]

    versions = asyncio.run(main())
    assert (versions[0], versions[-1]) == (one.version, two.version)


def test_a_rollback_takes_a_canary_to_nobody_within_a_second_and_fails_nobody(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path)
    two = answering(platform, line, "music")
    roll_out(platform, line, two, 0.5)

    async def main() -> None:
        async with serving(platform, line, one, two) as engine, load(engine, line) as answers:
            await until(lambda: {answer.arm for _, answer in answers} == {"production", "canary"})
            serve(platform, line, one, previous=two.version)
            back = time.monotonic()
            await until(lambda: sum(asked > back + 1.0 for asked, _ in answers) > 60)
        assert max(asked for asked, answer in answers if answer.version == two.version) < back + 1.0

    asyncio.run(main())


def test_what_another_host_moved_is_followed(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path)
    two = answering(platform, line, "music")

    async def main() -> list[Answer]:
        async with serving(platform, line, one) as engine:
            platform.versions.move(line.line, platform.versions.pointer(line.line), {"production": two.version})
            await ready(engine, line, two)
            return await engine.predict(line, ["a"])

    assert labels(asyncio.run(main())) == ["music"]


def test_a_version_whose_files_are_gone_changes_nothing_and_the_beat_says_so(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path)
    two = answering(platform, line, "music")

    def said() -> str:
        beats = platform.watch.gateways(datetime.now(UTC) - timedelta(minutes=1))
        return "".join(beat.problems.get(line.line, "") for beat in beats)

    async def main() -> list[Answer]:
        async with serving(platform, line, one) as engine:
            for path in tmp_path.rglob(f"*{two.servable}"):
                path.unlink()  # its list of files: no copy of it has been made yet
            platform.versions.move(line.line, platform.versions.pointer(line.line), {"production": two.version})
            await until(lambda: two.servable[:12] in said())
            answers = await engine.predict(line, ["a"])
            platform.versions.move(line.line, platform.versions.pointer(line.line), {"production": one.version})
            await until(lambda: not said())
            return answers

    assert labels(asyncio.run(main())) == ["sport"]


def test_a_pointer_that_cannot_be_read_is_written_anew(tmp_path: Path) -> None:
    platform, line, one = serving_sport(tmp_path)
    two = answering(platform, line, "music")
    pointer = platform.home / "serving" / f"{line.line}.json"

    async def main() -> list[Answer]:
        pointer.write_text('{"line": "as an earlier release wrote it"}')
        async with serving(platform, line, one) as engine:
            pointer.write_text("{ torn")
            platform.versions.move(line.line, platform.versions.pointer(line.line), {"production": two.version})
            await ready(engine, line, two)
            return await engine.predict(line, ["a"])

    assert labels(asyncio.run(main())) == ["music"]
