"""The two jobs of a line: intake runs side by side, improvement one batch at a time."""

import dagster as dg

from mlops_assets.components.assets import CHAIN, INTAKE
from mlops_assets.core.line import Line
from mlops_assets.core.orchestration import LINE_TAG, chain_job

TASKS = 4  # a run holds at most this many processes, one after the other: base, training, scoring of two systems


class LineJobs:
    """The job that checks a new batch, and the one that takes a batch through its whole chain or any part of it."""

    def __init__(self, line: Line) -> None:
        self.intake = _job(line, f"{line.line}_intake", INTAKE)
        self.chain = _job(line, chain_job(line.line), CHAIN)


def _job(line: Line, name: str, assets: tuple[str, ...]):
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*(dg.AssetKey([line.line, asset]) for asset in assets)),
        description=f"{assets[0]} to {assets[-1]} of one batch of {line.line}",
        executor_def=dg.in_process_executor,
        tags={"dagster/max_runtime": str(int(line.limits.minutes * 60 * TASKS)), LINE_TAG: line.line},
    )
