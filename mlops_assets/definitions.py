"""The one module that Dagster is pointed at: everything under `defs/`, and the lines in MLOPS_LINES."""

from pathlib import Path

import dagster as dg

from mlops_assets import wiring
from mlops_assets.components.model_line import line_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """Return all definitions; a wrong YAML is an error that names file and key."""
    chosen = wiring.settings()
    wiring.lines(chosen)
    more = [line for path in wiring.more_line_files(chosen) for line in wiring.read_lines(path)]
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent), *map(line_definitions, more)
    )
