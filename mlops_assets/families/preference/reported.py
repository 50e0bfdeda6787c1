"""From a rating that somebody gave in production to an event of a batch."""

from pydantic import JsonValue

from mlops_assets.core.events import Reported
from mlops_assets.families.preference.config import Config


def example(reported: Reported, config: Config) -> dict[str, JsonValue] | str:
    """Return rating, user, time and features in the line's columns; "" for a correction.

    What the rating itself says of the result counts, then how it was used, then what the model was asked. Notes stay
    where they are.
    """
    if reported.event.kind != "feedback":
        return ""
    own = config.columns
    names = {*config.categorical, *(column.column for column in config.numeric)}
    asked = reported.input if isinstance(reported.input, dict) else {}
    used = reported.usage.model_dump(mode="json", exclude_none=True) if reported.usage else {}
    said = reported.event.model_dump(mode="json", exclude_none=True)
    row: dict[str, JsonValue] = {
        name: value for known in (asked, used, said) for name, value in known.items() if name in names
    }
    row |= {own.rating: reported.event.rating, own.timestamp: reported.event.at or reported.received_at}
    user = reported.user or (reported.usage.user if reported.usage else None)
    return row | ({own.user: user} if user else {})
