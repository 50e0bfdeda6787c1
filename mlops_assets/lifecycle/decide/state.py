"""The agent's state: JSON only, so that a checkpoint holds nothing that needs a class to be read back."""

import operator
from typing import Annotated, Any, TypedDict

from mlops_assets.core.records.purchases import Tool


class State(TypedDict, total=False):
    """What the nodes hand to one another; records travel as their JSON."""

    evidence: dict[str, Any]
    policy: dict[str, Any]
    gates_hold: bool
    verdict: str
    order: Tool | None
    exchanges: Annotated[list[dict[str, Any]], operator.add]
    analysis: dict[str, Any] | None
    question: str | None
    review: dict[str, Any] | None
    path: Annotated[list[str], operator.add]
