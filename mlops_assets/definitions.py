"""The one module that Dagster is pointed at: everything under `defs/`, and the lines in MLOPS_LINES."""

from pathlib import Path

import dagster as dg

from mlops_assets.components.model_line import line_definitions
from mlops_assets.wiring.lines import lines_in, more_line_files, read_lines
from mlops_assets.wiring.settings import read_settings


@dg.definitions
def defs() -> dg.Definitions:
    """Return all definitions; a wrong YAML is an error that names file and key."""
    chosen = read_settings()
    read_lines(chosen)
    more = [line for path in more_line_files(chosen) for line in lines_in(path)]
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent), *map(line_definitions, more)
    )
