"""Materializing a batch's chain in this process: what `mlops run` does, no daemon needed.

The runs land in the same Dagster instance as the daemon's, so the UI shows both alike.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg

from mlops_assets.components import launches
from mlops_assets.components.assets import CHAIN
from mlops_assets.components.failures import Failure, failure, log_file
from mlops_assets.components.model_line import line_definitions
from mlops_assets.components.settling import judge_again, set_aside_failed
from mlops_assets.core.errors import UsageError
from mlops_assets.core.line import Line
from mlops_assets.core.orchestration import chain_job
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.holding import ended
from mlops_assets.wiring.environment import dagster_home

OPENING_SECONDS = 120.0
SILENT_SECONDS = 120.0  # daemons beat every half minute


@dataclass(frozen=True)
class RunOutcome:
    """The Dagster runs that were made, whether the batch came to an end, and what went wrong on the way.

    `kind` is the class of the error.
    """

    run_ids: tuple[str, ...]
    success: bool
    error: str | None = None
    kind: str | None = None


def run_batch(
    platform: Platform, line: Line, batch_id: str, *, until: str | None = None, start: str | None = None
) -> RunOutcome:
    """Materialize the assets of a batch from `start` to `until` (default: all), in order.

    A batch whose run fails is quarantined with the run's log, unless the failure is the operator's to mend; a decision
    that production has outrun is made again. What is already made is found, not made again.
    """
    chain = CHAIN[_position(start, 0) : _position(until, len(CHAIN) - 1) + 1]
    with open_instance(platform) as instance:
        instance.add_dynamic_partitions(line.line, [batch_id])
        return _Runner(platform, line, batch_id, instance).run(chain)


def open_instance(platform: Platform) -> dg.DagsterInstance:
    """Open the platform's Dagster instance; the caller closes it.

    One process at a time: two that make Dagster's SQLite files at once leave files that nobody can open again.
    """
    with platform.leases.hold("dagster", holder=uuid.uuid4().hex, wait_seconds=OPENING_SECONDS):
        instance = dg.DagsterInstance.from_config(str(dagster_home(platform.home)))
    launches.limit(instance, platform)
    return instance


@contextmanager
def heartbeat(platform: Platform) -> Iterator[Callable[[], bool]]:
    """Yield what says whether a Dagster daemon of this home is alive: whether any beat within the last two minutes."""
    with open_instance(platform) as instance:
        yield lambda: any(
            time.time() - beat.timestamp < SILENT_SECONDS for beat in instance.get_daemon_heartbeats().values()
        )


def continue_batch(platform: Platform, line: Line, batch_id: str) -> RunOutcome:
    """Materialize what follows a person's answer: the decision as it now is, then release or quarantine."""
    return run_batch(platform, line, batch_id, start="decision")


@dataclass
class _Runner:
    platform: Platform
    line: Line
    batch_id: str
    instance: dg.DagsterInstance
    run_ids: list[str] = field(default_factory=list)

    def run(self, chain: Sequence[str]) -> RunOutcome:
        failed = self._materialize(chain)
        while failed is not None and failed.stale and judge_again(self.platform, self.line, self.batch_id):
            failed = self._materialize(CHAIN[CHAIN.index("eval_report") :])
        if failed is None:
            return RunOutcome(tuple(self.run_ids), success=True)
        if failed.operators or ended(self.platform, self.line, self.batch_id):
            return RunOutcome(tuple(self.run_ids), success=False, error=failed.message, kind=failed.kind)
        with log_file(self.instance, self.run_ids[-1]) as logs:
            held = set_aside_failed(self.platform, self.line, self.batch_id, failed, logs)
        success = self._materialize(["quarantine"]) is None
        return RunOutcome(tuple(self.run_ids), success=success, error=held.reason, kind=failed.kind)

    def _materialize(self, chain: Sequence[str]) -> Failure | None:
        definitions = dg.Definitions.merge(
            line_definitions(self.line), dg.Definitions(resources={"platform": self.platform})
        )
        result = definitions.resolve_job_def(chain_job(self.line.line)).execute_in_process(
            instance=self.instance,
            partition_key=self.batch_id,
            asset_selection=[dg.AssetKey([self.line.line, asset]) for asset in chain],
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        self.run_ids.append(result.run_id)
        return None if result.success else failure(self.instance, result.run_id)


def _position(asset: str | None, default: int) -> int:
    if asset is None:
        return default
    if asset not in CHAIN:
        raise UsageError(f"'{asset}' is no asset.", f"The assets are: {', '.join(CHAIN)}.")
    return CHAIN.index(asset)
