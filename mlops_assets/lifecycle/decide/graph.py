"""The decision agent as a LangGraph graph: gather -> gates -> statistics -> (human) -> conclude.

Wiring only. What a node says comes from `gates` and `rules`, and the verdict that counts is recomputed in `conclude`
from evidence, policy and answer alone: nothing else that the state may hold can raise it.
"""

from typing import TYPE_CHECKING, Any

from mlops_assets.core.policy import Policy
from mlops_assets.core.records import Evidence, ReviewAnswer
from mlops_assets.lifecycle.decide import gates as gate_rules
from mlops_assets.lifecycle.decide import rules
from mlops_assets.lifecycle.decide.state import State

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph


def build(checkpointer: "BaseCheckpointSaver") -> "CompiledStateGraph":
    """Compile the graph over a checkpointer."""
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(State)
    for node in (gather, gates, statistics, human, conclude):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "gather")
    graph.add_edge("gather", "gates")
    graph.add_conditional_edges("gates", after_gates, ["statistics", "conclude"])
    graph.add_conditional_edges("statistics", after_statistics, ["human", "conclude"])
    graph.add_edge("human", "conclude")
    graph.add_edge("conclude", END)
    return graph.compile(checkpointer=checkpointer)


def gather(state: State) -> State:
    """Check that the evidence and the policy are what they claim to be, before anything is concluded from them."""
    evidence, policy = _inputs(state)
    return {
        "evidence": evidence.model_dump(mode="json"),
        "policy": policy.model_dump(mode="json"),
        "path": ["gather"],
    }


def gates(state: State) -> State:
    """Apply the hard gates."""
    applied = gate_rules.gates(*_inputs(state))
    return {"gates": [check.model_dump(mode="json") for check in applied], "path": ["gates"]}


def statistics(state: State) -> State:
    """Apply the statistical rule."""
    return {**_ruled(state, None), "path": ["statistics"]}


def human(state: State) -> State:
    """Wait for a person; the node runs again from its top when the answer is there."""
    from langgraph.types import interrupt

    return {"review": interrupt(state.get("question")), "path": ["human"]}


def conclude(state: State) -> State:
    """Recompute the verdict from evidence, policy and answer."""
    review = state.get("review")
    return {**_ruled(state, ReviewAnswer.model_validate(review) if review else None), "path": ["conclude"]}


def after_gates(state: State) -> str:
    """A failed gate ends the matter."""
    return "statistics" if all(check["passed"] for check in state.get("gates", [])) else "conclude"


def after_statistics(state: State) -> str:
    """What numbers cannot settle goes to a person."""
    return "human" if state.get("verdict") == "HUMAN_REVIEW" else "conclude"


def _inputs(state: State) -> tuple[Evidence, Policy]:
    evidence = Evidence.model_validate(state.get("evidence"))
    policy = Policy.model_validate(state.get("policy"))
    if policy.digest != evidence.policy:
        raise ValueError("The policy is not the one the evidence names.")
    return evidence, policy


def _ruled(state: State, review: ReviewAnswer | None) -> State:
    ruling: dict[str, Any] = rules.verdict(*_inputs(state), review).model_dump(mode="json")
    return {
        "verdict": ruling["verdict"],
        "reasons": ruling["reasons"],
        "gates": ruling["gates"],
        "statistics": ruling["statistics"],
        "question": ruling["question"],
    }
