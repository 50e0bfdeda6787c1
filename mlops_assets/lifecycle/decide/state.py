"""The agent's state: JSON only, so that a checkpoint holds nothing that needs a class to be read back."""

import operator
from typing import Annotated, Any, TypedDict


class State(TypedDict, total=False):
    """What the nodes hand to one another; records travel as their JSON."""

    evidence: dict[str, Any]
    policy: dict[str, Any]
    verdict: str
    reasons: list[str]
    gates: list[dict[str, Any]]
    statistics: list[dict[str, Any]]
    question: str | None
    review: dict[str, Any] | None
    path: Annotated[list[str], operator.add]
