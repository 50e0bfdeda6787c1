"""Tasks of a Dagster run: the same local processes, with their log and progress streamed into the run by Pipes."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from mlops_assets.core.line import Limits
from mlops_assets.core.ports.execution import Compute
from mlops_assets.core.tasks import Task, TaskResult


@dataclass(frozen=True)
class PipesCompute:
    """Fills `Compute` inside an asset."""

    context: dg.AssetExecutionContext
    compute: Compute

    def run(self, task: Task, limits: Limits, *, env: Mapping[str, str] | None = None) -> TaskResult:
        """Run one task in a process that finds this Pipes session in its environment."""
        self.context.log.info(f"{task.task}: a process of its own, {limits.minutes:g} min, {limits.memory_gb:g} GB")
        with (
            warnings.catch_warnings(action="ignore", category=dg.PreviewWarning),  # Dagster's own, of its own code
            dg.open_pipes_session(
                self.context.op_execution_context,
                context_injector=dg.PipesTempFileContextInjector(),
                message_reader=dg.PipesTempFileMessageReader(),
            ) as session,
        ):
            return self.compute.run(task, limits, env={**(env or {}), **session.get_bootstrap_env_vars()})
