"""What every asset and sensor of this code location is given; made when a run starts, never while definitions load."""

import functools

import dagster as dg

from mlops_assets.core.ports.platform import Platform
from mlops_assets.wiring.platform import open_platform

_platform = functools.cache(open_platform)


@dg.resource(description="Every port of the platform, filled from MLOPS_ settings.")
def platform(_: dg.InitResourceContext) -> Platform:
    """Return this process's platform."""
    return _platform()


@dg.definitions
def resources() -> dg.Definitions:
    """Return the resources, and the executor of ad-hoc runs."""
    return dg.Definitions(resources={"platform": platform}, executor=dg.in_process_executor)
