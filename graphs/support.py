"""The support graph: intake, route, retrieve, act, effect, draft, check, then deliver, review or escalate."""

from __future__ import annotations

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graphs import nodes
from graphs.actions import act
from graphs.approval import approve, effect
from graphs.drafting import draft
from graphs.state import State
from graphs.turn import Turn

SupportGraph = CompiledStateGraph[State, Turn, State, State]

# What may follow each step; the step names it in ``next``.
EDGES: dict[str, list[str]] = {
    "intake": ["route", "escalate"],
    "route": ["retrieve", "act", "draft", "escalate"],
    "retrieve": ["act", "draft", "escalate"],
    "act": ["effect", "draft", "escalate"],
    "effect": ["approve", "draft", "escalate"],
    "approve": ["effect", "escalate"],
    "draft": ["draft", "check", "escalate"],
    "check": ["deliver", "review", "escalate"],
    "review": ["deliver", "escalate"],
}


ELSEWHERE = {"act": act, "effect": effect, "approve": approve, "draft": draft}


def build_support_graph() -> SupportGraph:
    """Compile the graph; a checkpointer is given to a copy of it (``copy({"checkpointer": ...})``)."""
    graph = StateGraph(State, context_schema=Turn)
    for name in EDGES:
        graph.add_node(name, ELSEWHERE.get(name) or getattr(nodes, name))
        graph.add_conditional_edges(name, _next, EDGES[name])
    for name, node in (("deliver", nodes.send), ("escalate", nodes.escalate)):
        graph.add_node(name, node)
        graph.add_edge(name, END)
    graph.add_edge(START, "intake")
    return graph.compile()


async def _next(state: State) -> str:
    # LangGraph would put what does not wait into a thread, for every step.
    return state["next"]
