"""One served version, whatever becomes of its process and of what it is proved with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mlops_assets.families.baseline import FAMILY
from mlops_assets.lifecycle.evaluation.judged import Judged
from mlops_assets.serving.engine.frames import Servable, packed
from mlops_assets.serving.engine.process import Ended, WorkerProcess
from mlops_assets.serving.engine.workers import ServedModel
from mlops_assets_tests.lines import TOPICS, baseline_line
from mlops_assets_tests.serving.versions import until

GARBAGE = (b"\xff" * 64, packed([b"nobody asked for this"]))


def servable(folder: Path) -> Path:
    """A servable of the baseline family that has seen nothing."""
    config = FAMILY.Config.model_validate({"labels": list(TOPICS)})
    FAMILY.base(config, folder / "model")
    FAMILY.export(folder / "model", folder / "servable", config)
    return folder / "servable"


@asynccontextmanager
async def serving(folder: Path, told: list[str], judged: Judged) -> AsyncIterator[ServedModel]:
    model = ServedModel(
        baseline_line(folder),
        1,
        "digest",
        str(servable(folder)),
        root=folder,
        judged=lambda: judged,
        told=lambda _, why: told.append(why),
    )
    try:
        yield model
    finally:
        await model.close()


def test_a_version_whose_golden_file_cannot_be_read_says_so_and_is_tried_again(tmp_path: Path) -> None:
    golden, told = tmp_path / "golden.txt", list[str]()

    async def main() -> None:
        async with serving(tmp_path, told, Judged(inputs=(golden,))) as model:
            await until(lambda: model.state == "failed")
            assert "golden.txt" in model.problem
            assert not model.usable
            golden.write_text("a text")
            await until(lambda: len(told) > 1 and "golden.txt" not in told[-1])

    asyncio.run(main())
    assert "golden.txt" in told[0]


def test_a_process_that_talks_nonsense_or_unasked_is_ended(tmp_path: Path) -> None:
    async def main(said: bytes) -> str:
        process = WorkerProcess()
        config = {"labels": list(TOPICS)}
        wanted = Servable(family="baseline", config=config, path=str(servable(tmp_path)), folder="")
        await process.start(wanted, root=tmp_path, seconds=60)
        try:
            process.data_received(said)
            why = await process.ended
            with pytest.raises(Ended, match=why):
                await process.exchange([b"j", b'"a text"'])
            return why
        finally:
            await process.close()

    assert asyncio.run(main(GARBAGE[0])) == "no frame: the stream is broken"
    assert asyncio.run(main(GARBAGE[1])) == "it said something without being asked"
