"""Versions served by real processes: what is answered, by whom, and what is remembered of it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from mlops_assets.core.errors import Busy, Unavailable
from mlops_assets.core.events import Prediction
from mlops_assets.core.line import Challenger, Collection, Line, Serving
from mlops_assets.core.ports.platform import Platform
from mlops_assets.serving.engine.answering import Answer
from mlops_assets.serving.engine.engine import Engine
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit
from mlops_assets_tests.lines import baseline_line
from mlops_assets_tests.serving.versions import (
    BOOM,
    answering,
    broken,
    failing,
    labels,
    platform_with,
    ready,
    roll_out,
    serve,
    until,
)

USERS = [f"user{at}" for at in range(200)]


@asynccontextmanager
async def serving(platform: Platform) -> AsyncIterator[Engine]:
    engine = Engine(platform)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


@asynccontextmanager
async def load(engine: Engine, line: Line, callers: int = 8) -> AsyncIterator[list[tuple[float, Answer]]]:
    """Ask without a pause, by many callers, and yield what comes back and when; no answer may fail."""
    answers: list[tuple[float, Answer]] = []
    going = True

    async def call(at: int) -> None:
        while going:
            (answer,) = await engine.predict(line, ["a text"], user=USERS[(at + len(answers)) % len(USERS)])
            answers.append((time.monotonic(), answer))

    tasks = [asyncio.create_task(call(at)) for at in range(callers)]
    try:
        yield answers
    finally:
        going = False
        await asyncio.gather(*tasks)
    assert not [answer for _, answer in answers if answer.problem or answer.failure]


def predictions(platform: Platform, line: Line) -> list[Prediction]:
    found = [stored.event for stored in platform.events.read(line.line, kind="prediction", limit=100_000)]
    return [event for event in found if isinstance(event, Prediction)]


def processes(engine: Engine) -> set[int]:
    """The processes of model workers that this test started."""
    children = psutil.Process().children(recursive=True)
    return {child.pid for child in children if "mlops_assets.serving.engine.model_worker" in " ".join(_command(child))}


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def test_answers_are_remembered_as_the_line_wants_it(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path, collection=Collection(keep_payloads=True))
    one = answering(platform, line, "sport")
    serve(platform, line, one)

    async def main() -> list[Answer]:
        async with serving(platform) as engine:
            await ready(engine, line, one)
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


def test_a_version_is_replaced_under_load_without_a_failed_request(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    one, two = answering(platform, line, "sport"), answering(platform, line, "music")
    serve(platform, line, one)

    async def main() -> list[int]:
        async with serving(platform) as engine:
            await ready(engine, line, one)
            old = processes(engine)
            async with load(engine, line) as answers:
                await until(lambda: len(answers) > 100)
                serve(platform, line, two)
                await ready(engine, line, two)
                seen = len(answers)
                await until(lambda: len(answers) > seen + 100)
            await until(lambda: not old & processes(engine))
            assert {answer.shown for _, answer in answers} == {"sport", "music"}
            return [answer.version for _, answer in answers]

    versions = asyncio.run(main())
    assert (versions[0], versions[-1]) == (one.version, two.version)


def test_a_rollback_takes_a_canary_to_nobody_within_a_second_and_fails_nobody(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    one, two = answering(platform, line, "sport"), answering(platform, line, "music")
    serve(platform, line, one)
    roll_out(platform, line, two, 0.5)

    async def main() -> None:
        async with serving(platform) as engine:
            await ready(engine, line, one, two)
            async with load(engine, line) as answers:
                await until(lambda: {answer.arm for _, answer in answers} == {"production", "canary"})
                began = time.monotonic()
                serve(platform, line, one, previous=two.version)
                await until(lambda: time.monotonic() > began + 1.5)
        last = max(at for at, answer in answers if answer.version == two.version)
        assert last - began < 1.0
        assert sum(at > began + 1.0 for at, _ in answers) > 10

    asyncio.run(main())


def test_a_user_stays_with_one_version_and_shares_are_kept(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    one, two = answering(platform, line, "sport"), answering(platform, line, "music")
    serve(platform, line, one)
    roll_out(platform, line, two, 0.3)

    async def main() -> list[dict[str, int]]:
        async with serving(platform) as engine:
            await ready(engine, line, one, two)
            rounds = []
            for _ in range(2):
                answers = await asyncio.gather(*(engine.predict(line, ["a"], user=user) for user in USERS))
                rounds.append({user: answer[0].version for user, answer in zip(USERS, answers, strict=True)})
            return rounds

    first, second = asyncio.run(main())
    assert first == second
    assert 30 <= Counter(first.values())[two.version] <= 90


@pytest.mark.parametrize("strategy", ["canary", "blue_green"])
def test_a_version_that_does_not_load_gets_no_traffic_and_the_beat_says_so(tmp_path: Path, strategy) -> None:
    platform, line = platform_with(tmp_path)
    one, two = answering(platform, line, "sport"), broken(platform, line)
    serve(platform, line, one)
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
    platform, line = platform_with(tmp_path)
    one, two = answering(platform, line, "sport"), broken(platform, line)
    serve(platform, line, one)

    async def main() -> None:
        async with serving(platform) as engine:
            await ready(engine, line, one)
            async with load(engine, line, callers=2) as answers:
                serve(platform, line, two)
                await until(lambda: "failed" in {each.state for each in engine.loaded()[line.line]})
                seen = len(answers)
                await until(lambda: len(answers) > seen + 50)
            assert {answer.version for _, answer in answers} == {one.version}

    asyncio.run(main())


def test_a_line_that_serves_nothing_says_so(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)

    async def main() -> None:
        async with serving(platform) as engine:
            with pytest.raises(Unavailable, match="serves no version yet"):
                await engine.predict(line, ["a"])

    asyncio.run(main())


def test_what_another_host_moved_is_followed(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    one, two = answering(platform, line, "sport"), answering(platform, line, "music")
    serve(platform, line, one)

    async def main() -> list[Answer]:
        async with serving(platform) as engine:
            await ready(engine, line, one)
            platform.versions.move(line.line, platform.versions.pointer(line.line), {"production": two.version})
            await ready(engine, line, two)
            return await engine.predict(line, ["a"])

    assert labels(asyncio.run(main())) == ["music"]


def test_a_version_whose_files_are_gone_changes_nothing_and_the_beat_says_so(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    one, two = answering(platform, line, "sport"), answering(platform, line, "music")
    serve(platform, line, one)

    def said() -> str:
        beats = platform.watch.gateways(datetime.now(UTC) - timedelta(minutes=1))
        return "".join(beat.problems.get(line.line, "") for beat in beats)

    async def main() -> list[Answer]:
        async with serving(platform) as engine:
            await ready(engine, line, one)
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
    platform, line = platform_with(tmp_path)
    one, two = answering(platform, line, "sport"), answering(platform, line, "music")
    serve(platform, line, one)
    pointer = platform.home / "serving" / f"{line.line}.json"

    async def main() -> list[Answer]:
        pointer.write_text('{"line": "as an earlier release wrote it"}')
        async with serving(platform) as engine:
            await ready(engine, line, one)
            pointer.write_text("{ torn")
            platform.versions.move(line.line, platform.versions.pointer(line.line), {"production": two.version})
            await ready(engine, line, two)
            return await engine.predict(line, ["a"])

    assert labels(asyncio.run(main())) == ["music"]


def test_a_version_that_answers_otherwise_than_it_was_judged_gets_no_traffic(tmp_path: Path) -> None:
    platform, line = open_light_line(tmp_path)
    run(platform, line, submit(platform, line, "good"))
    judged, base = (platform.versions.get(line.line, number) for number in (2, 1))
    pointer = platform.versions.pointer(line.line)
    swapped = judged.model_copy(update={"servable": base.servable})

    async def main() -> str:
        async with serving(platform) as engine:
            await ready(engine, line, judged)
            moved = platform.versions.move(line.line, pointer, pointer.roles)
            platform.serving.publish(moved, [("production", swapped, 1.0)])
            await until(lambda: "failed" in {each.state for each in engine.loaded()[line.line]})
            (answer,) = await engine.predict(line, ["music1 music2"])
            assert answer.shown == "music"
            return next(each.problem for each in engine.loaded()[line.line] if each.state == "failed")

    assert "otherwise than" in asyncio.run(main())


def test_a_killed_process_is_replaced_and_nobody_notices(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    one = answering(platform, line, "sport")
    serve(platform, line, one)

    async def main() -> None:
        async with serving(platform) as engine:
            await ready(engine, line, one)
            async with load(engine, line) as answers:
                for _ in range(2):
                    (process,) = processes(engine)
                    os.kill(process, signal.SIGKILL)
                    await until(lambda old=process: processes(engine) - {old})
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
            before = processes(engine)
            await engine.ready(other.line)
            await until(lambda: len(processes(engine)) == 2)
            (hung,) = before if len(before) == 1 else [engine_pid(engine, slow)]
            async with load(engine, other, callers=2) as answers:
                os.kill(hung, signal.SIGSTOP)
                (kept,) = await engine.predict(slow, ["a"])
                assert kept.failure == "timeout"
                assert kept.latency_ms < 5_000
                await until(lambda: engine.loaded()[slow.line][0].state == "ready" and hung not in processes(engine))
                (answer,) = await _answered(engine, slow)
                assert answer.shown == "sport"
            assert len(answers) > 20

    asyncio.run(main())
    assert Counter(each.error for each in predictions(platform, slow))["timeout"] >= 1


def engine_pid(engine: Engine, line: Line) -> int:
    """The process that serves a line's production version."""
    process = engine.process(line.line)
    assert process is not None
    return process


async def _answered(engine: Engine, line: Line) -> list[Answer]:
    """Ask until an answer comes."""
    for _ in range(100):
        answers = await engine.predict(line, ["a"])
        if not answers[0].failure:
            return answers
    raise AssertionError("no answer came")


def test_a_process_that_grows_beyond_its_memory_is_ended(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path, serving=Serving(memory_gb=0.02))
    serve(platform, line, answering(platform, line, "sport"))

    async def main() -> None:
        async with serving(platform) as engine:
            await until(lambda: "GB of its 0.02 GB" in "".join(each.problem for each in engine.loaded()[line.line]))

    asyncio.run(main())


def test_more_than_may_wait_is_refused_and_counted(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path, serving=Serving(queue=4, max_batch=2))
    one = answering(platform, line, "sport")
    serve(platform, line, one)

    async def main() -> None:
        async with serving(platform) as engine:
            await ready(engine, line, one)
            (process,) = processes(engine)
            os.kill(process, signal.SIGSTOP)
            asked = [asyncio.create_task(engine.predict(line, ["a"])) for _ in range(10)]
            await until(lambda: engine.loaded()[line.line][0].shed == 5)
            os.kill(process, signal.SIGCONT)
            done = await asyncio.gather(*asked, return_exceptions=True)
            assert Counter(type(each) for each in done) == {list: 5, Busy: 5}

    asyncio.run(main())


def test_a_canary_that_cannot_answer_is_stood_in_for_and_blamed(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    one, two = answering(platform, line, "sport"), failing(platform, line, "music")
    serve(platform, line, one)
    roll_out(platform, line, two, 0.9)

    async def main() -> list[Answer]:
        async with serving(platform) as engine:
            await ready(engine, line, one, two)
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


def test_production_whose_bytes_are_lost_is_stood_in_for(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    one, two = answering(platform, line, "sport"), answering(platform, line, "music")
    serve(platform, line, one)
    roll_out(platform, line, two, 0.0, strategy="blue_green")

    async def main() -> list[Answer]:
        async with serving(platform) as engine:
            await ready(engine, line, one, two)
            process = engine_pid(engine, line)
            live = engine.live(line.line)
            assert live is not None
            for path in Path(live.production.path).rglob("*"):
                path.parent.chmod(0o755)
            shutil.rmtree(live.production.path)
            os.kill(process, signal.SIGKILL)
            await until(lambda: "failed" in {each.state for each in engine.loaded()[line.line]})
            return await engine.predict(line, ["a"])

    assert labels(asyncio.run(main())) == ["music"]


def test_copies_say_whether_the_other_side_agrees(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    one, two = answering(platform, line, "sport"), failing(platform, line, "music")
    serve(platform, line, one)
    roll_out(platform, line, two, 0.0, shadow=1.0)

    async def main() -> list[Answer]:
        async with serving(platform) as engine:
            await ready(engine, line, one, two)
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
    platform, line = platform_with(tmp_path, serving=Serving(timeout_seconds=2))
    one, two = answering(platform, line, "sport"), answering(platform, line, "music")
    serve(platform, line, one)
    roll_out(platform, line, two, 0.0, shadow=1.0)

    async def main() -> None:
        async with serving(platform) as engine:
            await ready(engine, line, one, two)
            for at in range(3):
                await asyncio.gather(*(engine.predict(line, ["a text"], user=user) for user in USERS[:20]))
                await until(lambda at=at: len(predictions(platform, line)) == 40 * (at + 1))
            for process in processes(engine) - {engine_pid(engine, line)}:
                os.kill(process, signal.SIGSTOP)
            for user in USERS[:50]:
                assert labels(await engine.predict(line, ["a text"], user=user)) == ["sport"]
            await until(lambda: len(predictions(platform, line)) >= 170)

    asyncio.run(main())
    arms = Counter(each.arm for each in predictions(platform, line))
    assert arms["production"] == 110
    copies = [each for each in predictions(platform, line) if each.arm == "shadow" and each.success]
    assert len(copies) == len({each.of for each in copies}) == 60


def test_another_version_answers_beside_the_line(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path, challenger=Challenger(version=2, share=1.0))
    one, two = answering(platform, line, "sport"), answering(platform, line, "sport", weight=50)
    serve(platform, line, one)

    async def main() -> None:
        async with serving(platform) as engine:
            await ready(engine, line, one, two)
            await engine.predict(line, ["a text"], user="ann")
            await until(lambda: len(predictions(platform, line)) == 2)

    asyncio.run(main())
    first, double = sorted(predictions(platform, line), key=lambda each: each.arm, reverse=True)
    assert (first.arm, double.arm, double.version) == ("production", "challenger", two.version)
    assert (double.of, double.agrees) == (first.event_id, True)


def test_whoever_waits_when_the_gateway_ends_is_answered(tmp_path: Path) -> None:
    platform, line = platform_with(tmp_path)
    one = answering(platform, line, "sport")
    serve(platform, line, one)

    async def main() -> list[list[Answer]]:
        async with serving(platform) as engine:
            await ready(engine, line, one)
            (process,) = processes(engine)
            os.kill(process, signal.SIGSTOP)
            asked = [asyncio.create_task(engine.predict(line, ["a"])) for _ in range(40)]
            await until(lambda: engine.waiting()[line.line] > 0)
            ending = asyncio.create_task(engine.stop())
            os.kill(process, signal.SIGCONT)
            await ending
            assert not processes(engine)
            return await asyncio.gather(*asked)

    answers = asyncio.run(main())
    assert {answer.shown for some in answers for answer in some} == {"sport"}
    assert len(predictions(platform, line)) == 40


OWNER = """
import asyncio, sys
from pathlib import Path
from mlops_assets_tests.serving.engine.test_engine import processes
from mlops_assets_tests.serving.versions import answering, platform_with, ready, serve
from mlops_assets.serving.engine.engine import Engine

platform, line = platform_with(Path(sys.argv[1]))
one = answering(platform, line, "sport")
serve(platform, line, one)

async def main():
    engine = Engine(platform)
    await engine.start()
    await ready(engine, line, one)
    print(*processes(engine), flush=True)
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
