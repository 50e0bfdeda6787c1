"""Running the agent's thread of one decision: to its end, or to the question it waits with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.core.line import Line
from mlops_assets.core.ports import Platform
from mlops_assets.core.records import Evidence, Exchange, FailureAnalysis, ReviewAnswer, Tool
from mlops_assets.lifecycle.decide.checkpoints import checkpointer
from mlops_assets.lifecycle.decide.graph import build

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

MOST_STEPS = 1_000  # the policy's budget ends the cycle, not the graph


@dataclass(frozen=True)
class Outcome:
    """What a thread came to: the evidence as it grew, what was asked of a language model, and the nodes that ran."""

    evidence: Evidence
    exchanges: tuple[Exchange, ...]
    analysis: FailureAnalysis | None
    question: str | None
    path: tuple[str, ...]


@dataclass(frozen=True)
class _Hands:
    platform: Platform
    line: Line

    def buy(self, tool: Tool, evidence: Evidence) -> Evidence:
        from mlops_assets.lifecycle.decide.tools import Shop  # it trains, and training rests on release, on decisions

        return Shop(self.platform, self.line).buy(tool, evidence)

    def ask(self, purpose: Literal["verdict", "wording"], prompt: str) -> Exchange:
        assert self.line.policy.analyst is not None
        return self.platform.analyst.ask(self.line.policy.analyst, purpose, prompt)


def run(
    platform: Platform,
    line: Line,
    thread: str,
    evidence: Evidence,
    review: ReviewAnswer | None = None,
    exchanges: Sequence[Exchange] = (),
) -> Outcome:
    """Take a thread as far as it goes; called again, it goes on where it stopped.

    A thread that is new begins with `evidence`, and with `exchanges` if some were held before. Without `review`, one
    that asks stays at its question, 'human' being the last node of the path.
    """
    from langgraph.types import Command

    config: RunnableConfig = {"configurable": {"thread_id": thread}, "recursion_limit": MOST_STEPS}
    with checkpointer(platform.checkpoints_url) as saver:
        graph = build(saver, _Hands(platform, line))
        _advance(graph, config, _start(graph, config, line, evidence, exchanges))
        if review is not None and _waits(graph, config):
            _advance(graph, config, Command(resume=review.model_dump(mode="json")))
        values = graph.get_state(config).values
        path = values["path"]
        analysis = values.get("analysis")
        return Outcome(
            evidence=Evidence.model_validate(values["evidence"]),
            exchanges=tuple(Exchange.model_validate(each) for each in values["exchanges"]),
            analysis=FailureAnalysis.model_validate(analysis) if analysis else None,
            question=values.get("question"),
            path=(*path, "human") if _waits(graph, config) else tuple(path),
        )


def _start(
    graph: "CompiledStateGraph", config: "RunnableConfig", line: Line, evidence: Evidence, exchanges: Sequence[Exchange]
) -> dict[str, Any] | None:
    if graph.get_state(config).created_at is not None:
        return None
    return {
        "evidence": evidence.model_dump(mode="json"),
        "policy": line.policy.model_dump(mode="json"),
        "exchanges": [each.model_dump(mode="json") for each in exchanges],
        "path": [],
    }


def _advance(graph: "CompiledStateGraph", config: "RunnableConfig", given: Any) -> None:
    snapshot = graph.get_state(config)
    if given is not None or (snapshot.next and not _waits(graph, config)):
        graph.invoke(given, config, durability="sync")


def _waits(graph: "CompiledStateGraph", config: "RunnableConfig") -> bool:
    return any(task.interrupts for task in graph.get_state(config).tasks)
