"""Running the agent's thread of one decision: to its end, or to the question it waits with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Evidence, Exchange, FailureAnalysis, ReviewAnswer
from mlops_assets.lifecycle.decide.checkpoints import checkpointer
from mlops_assets.lifecycle.decide.graph import Hands, build

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import StateSnapshot

MOST_STEPS = 1_000  # the policy's budget ends the cycle, not the graph
LEAST_SECONDS = 0.1  # for a second question to a language model that took all its time for the first


@dataclass(frozen=True)
class Outcome:
    """What a thread came to: the evidence as it grew, what was asked of a language model, and the nodes that ran."""

    evidence: Evidence
    exchanges: tuple[Exchange, ...]
    analysis: FailureAnalysis | None
    question: str | None
    path: tuple[str, ...]


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
        graph, hands = build(saver), _hands(platform, line)
        known = graph.get_state(config)
        if known.created_at is None:
            known = _advance(graph, config, hands, _begin(line, evidence, exchanges))
        elif known.next and not known.interrupts:
            known = _advance(graph, config, hands, None)
        if known.interrupts and review is not None:
            known = _advance(graph, config, hands, Command(resume=review.model_dump(mode="json")))
        values, path = known.values, known.values["path"]
        analysis = values.get("analysis")
        return Outcome(
            evidence=Evidence.model_validate(values["evidence"]),
            exchanges=tuple(Exchange.model_validate(each) for each in values["exchanges"]),
            analysis=FailureAnalysis.model_validate(analysis) if analysis else None,
            question=values.get("question"),
            path=(*path, "human") if known.interrupts else tuple(path),
        )


def _hands(platform: Platform, line: Line) -> Hands:
    from mlops_assets.lifecycle.decide.tools import Shop  # it trains, and training rests on release, on decisions

    spent = 0.0

    def ask(purpose: Literal["verdict", "wording"], prompt: str) -> Exchange:
        nonlocal spent
        settings = line.policy.analyst
        assert settings is not None
        left = max(settings.timeout_seconds - spent, LEAST_SECONDS)
        exchange = platform.analyst.ask(settings.model_copy(update={"timeout_seconds": left}), purpose, prompt)
        spent += exchange.seconds
        return exchange

    return Hands(buy=Shop(platform, line).buy, ask=ask)


def _begin(line: Line, evidence: Evidence, exchanges: Sequence[Exchange]) -> dict[str, Any]:
    return {
        "evidence": evidence.model_dump(mode="json"),
        "policy": line.policy.model_dump(mode="json"),
        "exchanges": [each.model_dump(mode="json") for each in exchanges],
        "path": [],
    }


def _advance(
    graph: "CompiledStateGraph[Any, Hands]", config: "RunnableConfig", hands: Hands, given: Any
) -> "StateSnapshot":
    graph.invoke(given, config, context=hands, durability="sync")
    return graph.get_state(config)
