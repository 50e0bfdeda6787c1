"""The component that turns one line's YAML into its assets, checks, jobs and sensors.

The YAML's attributes are the fields of `core.line.Line`, so the same file means the same to Dagster, to the command
line and to the verbs.
"""

from typing import Self

import dagster as dg
from pydantic import BaseModel

from mlops_assets.components.assets import line_assets
from mlops_assets.components.checks import serves_the_judged_bytes
from mlops_assets.components.jobs import LineJobs
from mlops_assets.components.rollouts import rollout_asset
from mlops_assets.components.sensors import line_sensors
from mlops_assets.core.line import Line
from mlops_assets.wiring.lines import checked


class ModelLine(Line, dg.Component):
    """One deployed model that keeps improving: seven assets a batch, from the upload to the released version."""

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the schema of the YAML's attributes."""
        return Line

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Fill in templates and let the family check its own part of the attributes."""
        assert isinstance(attributes, Line)
        return cls.model_validate(checked(attributes, where=str(context.path)).model_dump())

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return everything Dagster knows about this line."""
        return line_definitions(self)


def line_definitions(line: Line) -> dg.Definitions:
    """Return the assets, jobs and sensors of a line; one partition is one batch."""
    jobs = LineJobs(line)
    batches = dg.DynamicPartitionsDefinition(name=line.line)
    return dg.Definitions(
        assets=[*line_assets(line, batches), rollout_asset(line)],
        asset_checks=[serves_the_judged_bytes(line)],
        jobs=[jobs.intake, jobs.chain],
        sensors=line_sensors(line, batches, jobs),
    )
