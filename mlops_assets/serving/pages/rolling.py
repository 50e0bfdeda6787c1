"""A rollout as the pages show it: how far it is, what the judge says and why."""

from mlops_assets.core.line import Line
from mlops_assets.core.ports import Platform, Pointer
from mlops_assets.core.records import Record
from mlops_assets.serving.pages.charts import Drawn


class Judged(Record):
    """What the judge of a canary has come to."""

    verdict: str
    why: tuple[str, ...]
    chart: Drawn | None = None


def judged(platform: Platform, line: Line, pointer: Pointer) -> Judged | None:
    """Return what the judge last said of the rollout that a pointer names; None where none is on its way."""
    return None
