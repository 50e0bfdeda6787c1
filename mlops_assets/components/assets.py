"""The seven assets of a line. Each body calls one lifecycle verb, says what it made, and returns."""

import importlib.metadata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import dagster as dg

from mlops_assets.components import checks, metadata, workers
from mlops_assets.components.order import catch_up
from mlops_assets.components.pipes import PipesCompute
from mlops_assets.components.settling import released, set_aside
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import AssetRecord
from mlops_assets.core.records.chain import ASSETS
from mlops_assets.lifecycle.decide import decide
from mlops_assets.lifecycle.evaluation.evaluate import evaluate
from mlops_assets.lifecycle.intake.ingest import raw_batch
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets.lifecycle.training.train import train

CHAIN = tuple(ASSETS)
INTAKE, IMPROVE, SETTLE = CHAIN[:2], CHAIN[2:], CHAIN[4:]


@dataclass(frozen=True)
class Step:
    """One asset: the verb behind it, and what Dagster is told of it."""

    name: str
    make: Callable[[Platform, Line, str], AssetRecord | None]
    deps: tuple[str, ...]
    kinds: tuple[str, ...]
    description: str

    @property
    def optional(self) -> bool:
        """Whether a batch may end without this asset."""
        return self.name in ("deployed_version", "quarantine")


STEPS = (
    Step("raw_batch", raw_batch, (), ("file",), "One immutable submission, stored under its sha256."),
    Step(
        "validated_data",
        validate,
        ("raw_batch",),
        ("python",),
        "The items that may be trained on, and a numbered reason for every item that may not.",
    ),
    Step(
        "candidate_model",
        train,
        ("validated_data",),
        ("python", "mlflow"),
        "The production model, fine-tuned on this batch and a replay of earlier accepted data.",
    ),
    Step(
        "eval_report",
        evaluate,
        ("candidate_model",),
        ("python", "mlflow"),
        "Candidate, production and baseline on the same golden set, suites and holdout, with paired intervals.",
    ),
    Step(
        "decision",
        decide,
        ("eval_report",),
        ("langchain",),
        "APPROVE, REJECT or HUMAN_REVIEW: hard gates, then statistics, then a person where one is needed.",
    ),
    Step(
        "deployed_version",
        released,
        ("decision",),
        ("mlflow",),
        "The released version, if the decision approved it and production is still what it was judged against.",
    ),
    Step(
        "quarantine",
        set_aside,
        ("decision",),
        ("file",),
        "A rejected or unusable batch, set aside with its logs and reports, and the team told.",
    ),
)


def line_assets(line: Line, batches: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return the assets of a line; from `candidate_model` on they share a pool that lets one run in at a time."""
    return [_asset(step, line, batches) for step in STEPS]


def _asset(step: Step, line: Line, batches: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    key = dg.AssetKey([line.line, step.name])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.line, dep]) for dep in step.deps],
        partitions_def=batches,
        group_name=line.line,
        description=step.description,
        kinds={*step.kinds},
        owners=list(line.owners),
        tags={"line": line.line, "family": line.family},
        code_version=importlib.metadata.version("mlops_assets"),
        pool=line.line if step.name in IMPROVE else None,
        output_required=not step.optional,
        check_specs=checks.specs(step.name, key),
    )
    def body(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[dg.MaterializeResult]:
        workers.sign(platform, line, context)
        streaming = replace(platform, compute=PipesCompute(context, platform.compute))
        if step.name == IMPROVE[0] and context.run.remote_job_origin is not None:
            for earlier in catch_up(streaming, line, context.partition_key):
                context.log.info(f"Batch {earlier} came first and was carried on before this one.")
        record = step.make(streaming, line, context.partition_key)
        if record is None:
            context.log.info(f"Batch {context.partition_key} ends without {step.name}.")
            return
        yield dg.MaterializeResult(
            metadata=metadata.describe(record, platform, line),
            data_version=dg.DataVersion(record.digest),
            check_results=checks.results(line, record),
        )

    return body
