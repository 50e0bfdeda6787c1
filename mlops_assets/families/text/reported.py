"""From a correction that somebody made in production to a row of a batch."""

from pydantic import JsonValue

from mlops_assets.core.events import Reported
from mlops_assets.families.text.config import Config


def example(reported: Reported, config: Config) -> dict[str, JsonValue] | str:
    """Return message, label and user in the line's columns; "" for a rating, else why there is no row.

    Of a line with a column a dimension, the target names the dimensions that are so: 'joy;trust'.
    """
    if reported.event.kind != "correction":
        return ""
    if not isinstance(reported.input, str):
        return reported.unknown
    row: dict[str, JsonValue] = {config.text_column: reported.input}
    if config.user_column and reported.user:
        row[config.user_column] = reported.user
    target = reported.event.target
    if config.label_column:
        return row | {config.label_column: target}
    named = {name.strip().casefold() for name in target.split(";")}
    return row | {label: str(float(label.casefold() in named)) for label in config.labels}
