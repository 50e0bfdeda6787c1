"""A model worker's process as the gateway holds it, when nobody wants it any more."""

import asyncio
from pathlib import Path

import pytest

from mlops_assets.families.baseline import FAMILY
from mlops_assets.serving.engine.frames import Servable
from mlops_assets.serving.engine.process import WorkerProcess


class LeftAsItSpeaks(WorkerProcess):
    """A process whose starting is given up in the very moment in which it says that it is ready."""

    starting: "asyncio.Task[None]"

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.starting.cancel()


def test_starting_that_is_given_up_as_it_succeeds_is_given_up(tmp_path: Path) -> None:
    async def given_up() -> None:
        process = LeftAsItSpeaks()
        wanted = Servable(family="baseline", config={"labels": ["a", "b"]}, path=str(tmp_path / "servable"), folder="")
        process.starting = asyncio.create_task(process.start(wanted, root=tmp_path, seconds=60))
        try:
            with pytest.raises(asyncio.CancelledError):
                await process.starting
        finally:
            await process.close()

    config = FAMILY.Config.model_validate({"labels": ["a", "b"]})
    FAMILY.base(config, tmp_path / "model")
    FAMILY.export(tmp_path / "model", tmp_path / "servable", config)
    asyncio.run(given_up())
