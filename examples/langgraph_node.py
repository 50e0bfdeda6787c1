"""A support graph whose first node was a language model and is a fine-tuned classifier now: routing by category.

    python examples/langgraph_node.py "I would like to become a surgeon"

It takes what the line `intent` serves (`mlops demo intent` releases a first version), or an exported folder named by
INTENT_CLASSIFIER_MODEL.
"""

import sys
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

from mlops_assets.inference import as_langgraph_node


class WorkflowState(TypedDict, total=False):
    """What travels through the graph; `unified_classification` as source system 002 names it."""

    message: str
    unified_classification: dict[str, Any]
    reply: str


def look_up(state: WorkflowState) -> WorkflowState:
    """Answer from the knowledge base."""
    return {"reply": f"Looking up: {state['message']}"}


def remember(state: WorkflowState) -> WorkflowState:
    """Store what a person said of themselves, under its context."""
    return {"reply": f"Noted under {state['unified_classification']['category']}."}


def chat(state: WorkflowState) -> WorkflowState:
    """Talk."""
    return {"reply": "Nice to hear from you."}


def route(state: WorkflowState) -> str:
    """Choose the next node: doubtful messages are looked up, for a wrong note is worse than a needless search."""
    found = state["unified_classification"]
    if found["category"] == "rag_query" or found["confidence"] < 0.2:
        return "look_up"
    return "chat" if found["category"] == "chitchat" else "remember"


def build(line: str = "intent") -> Any:
    """Return the compiled graph."""
    graph = StateGraph(WorkflowState)
    graph.add_node("classify", as_langgraph_node(line))
    for node in (look_up, remember, chat):
        graph.add_node(node.__name__, node)
        graph.add_edge(node.__name__, END)
    graph.add_edge(START, "classify")
    graph.add_conditional_edges("classify", route, ["look_up", "remember", "chat"])
    return graph.compile()


def main(arguments: list[str]) -> None:
    """Send each argument through the graph."""
    app = build()
    for message in arguments or ["What does a dietitian do?", "I feel much better today.", "hi there"]:
        state = app.invoke({"message": message})
        found = state["unified_classification"]
        print(f"{message}\n  {found['category']} ({found['confidence']:.2f}) -> {state['reply']}")


if __name__ == "__main__":
    main(sys.argv[1:])
