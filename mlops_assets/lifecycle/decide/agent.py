"""Running the agent's thread of one decision: to its end, or to the question it waits with."""

from typing import TYPE_CHECKING, Any

from mlops_assets.core.policy import Policy
from mlops_assets.core.records import Evidence, ReviewAnswer
from mlops_assets.lifecycle.decide.checkpoints import checkpointer
from mlops_assets.lifecycle.decide.graph import build

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph


def run(url: str, thread: str, evidence: Evidence, policy: Policy, review: ReviewAnswer | None = None) -> list[str]:
    """Take a thread as far as it goes and return the nodes that ran; called again, it goes on where it stopped.

    Without `review`, a thread that asks stays at its question, 'human' being the last node of the path.
    """
    from langgraph.types import Command

    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    with checkpointer(url) as saver:
        graph = build(saver)
        _advance(graph, config, _start(graph, config, evidence, policy))
        if review is not None and _waits(graph, config):
            _advance(graph, config, Command(resume=review.model_dump(mode="json")))
        path = list(graph.get_state(config).values["path"])
        return [*path, "human"] if _waits(graph, config) else path


def _start(
    graph: "CompiledStateGraph", config: "RunnableConfig", evidence: Evidence, policy: Policy
) -> dict[str, Any] | None:
    if graph.get_state(config).created_at is not None:
        return None
    return {"evidence": evidence.model_dump(mode="json"), "policy": policy.model_dump(mode="json"), "path": []}


def _advance(graph: "CompiledStateGraph", config: "RunnableConfig", given: Any) -> None:
    snapshot = graph.get_state(config)
    if given is not None or (snapshot.next and not _waits(graph, config)):
        graph.invoke(given, config, durability="sync")


def _waits(graph: "CompiledStateGraph", config: "RunnableConfig") -> bool:
    return any(task.interrupts for task in graph.get_state(config).tasks)
