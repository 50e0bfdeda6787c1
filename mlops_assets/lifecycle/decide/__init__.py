"""The decision: computed by the agent, bound to the exact bytes it judged, answered by a person where needed."""

from mlops_assets.lifecycle.decide.answering import answer
from mlops_assets.lifecycle.decide.deciding import decide

__all__ = ["answer", "decide"]
