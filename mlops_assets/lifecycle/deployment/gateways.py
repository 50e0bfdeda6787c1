"""What gateways say of themselves, of the line that they serve: one may serve some lines alone."""

from datetime import datetime, timedelta

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.serving import Beat

ALIVE = timedelta(seconds=30)


def serving(platform: Platform, line: Line, since: datetime) -> list[Beat]:
    """Return what every gateway of a line said last, if it did since a time; those of other lines do not count."""
    return [beat for beat in platform.watch.gateways(since) if line.line in beat.lines]
