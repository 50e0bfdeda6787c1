"""The decision agent as a LangGraph graph, with a cycle: what is unclear may buy more evidence and is judged again.

Wiring only. What a node says comes from `gates`, `rules`, `planning`, `hearing` and `failing`; what it does, from the
`Hands` it is given. Each effect (a purchase, a question to a language model) has a node of its own, stands before no
interrupt, and may be made again. The verdict that counts is recomputed in `conclude` from evidence, policy, reply and
answer alone: nothing else that the state may hold can raise it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.core.policy import Policy
from mlops_assets.core.records.decision import AnalystReply, Evidence, Exchange, FailureAnalysis, ReviewAnswer
from mlops_assets.core.records.purchases import Tool
from mlops_assets.lifecycle.decide import gates as gate_rules
from mlops_assets.lifecycle.decide import planning, prompting, rewording, rules
from mlops_assets.lifecycle.decide.failing import analyse
from mlops_assets.lifecycle.decide.ruling import Ruling
from mlops_assets.lifecycle.decide.state import State
from mlops_assets.lifecycle.failpoints import failpoint

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

TOOL_NODES: dict[Tool, str] = {
    "sealed_set": "open_sealed",
    "seeds": "train_seed",
    "slice_report": "report_slices",
    "retrain": "retrain",
}


@dataclass(frozen=True)
class Hands:
    """What the agent can do to the world; both may be called again with the same arguments.

    `buy` returns the evidence with what a tool adds to it. `ask` asks the policy's language model; whatever that does
    is in the exchange.
    """

    buy: Callable[[Tool, Evidence], Evidence]
    ask: Callable[[Literal["verdict", "wording"], str], Exchange]


def build(checkpointer: "BaseCheckpointSaver") -> "CompiledStateGraph[Any, Hands]":
    """Return the graph over a checkpointer; it runs with `Hands` for a context."""
    return _compiled().copy({"checkpointer": checkpointer})


def picture() -> str:
    """Return the graph as Mermaid text, drawn from the graph itself."""
    return _compiled().get_graph().draw_mermaid()


@functools.cache
def _compiled() -> "CompiledStateGraph[Any, Hands]":
    """Compile the graph once: looking at its functions takes longer than running them."""
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(State, context_schema=Hands)
    for node in (gather, gates, statistics, plan, human, conclude):
        _add(graph, node.__name__, lambda state, _, node=node: node(state))
    for node in (analyst, explain):
        _add(graph, node.__name__, node)
    graph.add_edge(START, "gather")
    graph.add_edge("gather", "gates")
    graph.add_conditional_edges("gates", after_gates, ["statistics", "explain"])
    graph.add_edge("statistics", "plan")
    graph.add_conditional_edges("plan", after_plan, [*TOOL_NODES.values(), "analyst", "explain", "conclude"])
    for tool, name in TOOL_NODES.items():
        _add(graph, name, functools.partial(_buy, tool))
        graph.add_edge(name, "gather")
    graph.add_conditional_edges("analyst", after_verdict, ["explain", "conclude"])
    graph.add_conditional_edges("explain", after_explain, ["human", "conclude"])
    graph.add_edge("human", "conclude")
    graph.add_edge("conclude", END)
    return graph.compile()


def gather(state: State) -> State:
    """Check that the evidence and the policy are what they claim to be, before anything is concluded from them."""
    evidence, policy = _inputs(state)
    if policy.digest != evidence.policy:
        raise ValueError("The policy is not the one the evidence names.")
    return {"order": None, "path": ["gather"]}


def gates(state: State) -> State:
    """Apply the hard gates."""
    return {"gates_hold": all(gate.passed for gate in gate_rules.gates(*_inputs(state))), "path": ["gates"]}


def statistics(state: State) -> State:
    """Apply the statistical rule."""
    return {"verdict": rules.verdict(*_inputs(state)).verdict, "path": ["statistics"]}


def plan(state: State) -> State:
    """Say which evidence is worth buying, if any."""
    evidence, policy = _inputs(state)
    return {"order": planning.next_purchase(rules.verdict(evidence, policy), evidence, policy), "path": ["plan"]}


def human(state: State) -> State:
    """Wait for a person; the node runs again from its top when the answer is there."""
    from langgraph.types import interrupt

    return {"review": interrupt(state.get("question")), "path": ["human"]}


def conclude(state: State) -> State:
    """Recompute the verdict from evidence, policy, reply and answer."""
    review = state.get("review")
    ruling = _ruling(state, ReviewAnswer.model_validate(review) if review else None)
    return {"verdict": ruling.verdict, "path": ["conclude"]}


def analyst(state: State, hands: Hands) -> State:
    """Ask the language model about the numbers, once."""
    evidence, policy = _inputs(state)
    asked: list[dict[str, Any]] = []
    if not _asked(state, "verdict"):
        prompt, names = prompting.verdict_prompt(evidence, policy, rules.verdict(evidence, policy))
        exchange = hands.ask("verdict", prompt).model_copy(update={"names": names})
        asked = [exchange.model_dump(mode="json")]
    heard: State = {**state, "exchanges": [*state.get("exchanges", []), *asked]}
    return {"exchanges": asked, "verdict": _ruling(heard, None).verdict, "path": ["analyst"]}


def explain(state: State, hands: Hands) -> State:
    """Say why the candidate was not simply approved; a language model may reword the paragraph."""
    evidence, policy = _inputs(state)
    ruling = _ruling(state, None)
    analysis = analyse(evidence, policy, ruling)
    asked: list[dict[str, Any]] = []
    reached = all(each.answer is not None for each in _asked(state, "verdict"))
    if policy.analyst and policy.analyst.words_alerts and reached:
        said = next(iter(_asked(state, "wording")), None)
        if said is None:
            prompt, names = rewording.wording_prompt(analysis.paragraph, evidence)
            said = hands.ask("wording", prompt).model_copy(update={"names": names})
            asked = [said.model_dump(mode="json")]
        reworded = rewording.reworded(analysis.paragraph, said)
        if reworded is not None:
            analysis = analysis.model_copy(update={"paragraph": reworded, "worded_by": said.model})
    return {
        "exchanges": asked,
        "analysis": analysis.model_dump(mode="json"),
        "verdict": ruling.verdict,
        "question": _question(ruling, analysis),
        "path": ["explain"],
    }


def _buy(tool: Tool, state: State, hands: Hands) -> State:
    bought = hands.buy(tool, Evidence.model_validate(state.get("evidence")))
    return {"evidence": bought.model_dump(mode="json"), "path": [TOOL_NODES[tool]]}


def after_gates(state: State) -> str:
    """A failed gate ends the matter."""
    return "statistics" if state.get("gates_hold") else "explain"


def after_plan(state: State) -> str:
    """What is worth buying is bought; else the analyst is heard, if the policy has one and it has a say."""
    order = state.get("order")
    if order is not None:
        return TOOL_NODES[order]
    analysed = state.get("policy", {}).get("analyst") is not None and state.get("verdict") != "REJECT"
    return "analyst" if analysed else after_verdict(state)


def after_verdict(state: State) -> str:
    """Whatever is not simply approved is explained."""
    return "conclude" if state.get("verdict") == "APPROVE" else "explain"


def after_explain(state: State) -> str:
    """What numbers cannot settle goes to a person."""
    return "human" if state.get("verdict") == "HUMAN_REVIEW" else "conclude"


def _add(graph: Any, name: str, node: Callable[[State, Hands], State]) -> None:
    """Add a node that a test can kill when its work is done and its checkpoint is not written."""
    from langgraph.runtime import Runtime

    def killable(state: State, runtime: Runtime[Hands]) -> State:
        found = node(state, runtime.context)
        failpoint(f"graph: after {name}")
        return found

    graph.add_node(name, killable)


def _inputs(state: State) -> tuple[Evidence, Policy]:
    return Evidence.model_validate(state.get("evidence")), Policy.model_validate(state.get("policy"))


def _asked(state: State, purpose: str) -> list[Exchange]:
    exchanges = (Exchange.model_validate(each) for each in state.get("exchanges", []))
    return [each for each in exchanges if each.purpose == purpose]


def _reply(state: State) -> AnalystReply | None:
    return next((each.reply for each in reversed(_asked(state, "verdict"))), None)


def _ruling(state: State, review: ReviewAnswer | None) -> Ruling:
    return rules.verdict(*_inputs(state), review, _reply(state))


def _question(ruling: Ruling, analysis: FailureAnalysis) -> str | None:
    """Return what a person is asked, with what would have to be true to approve."""
    if ruling.question is None or not analysis.to_approve:
        return ruling.question
    return f"{ruling.question} What would have to be true to approve it: {' '.join(analysis.to_approve)}"
