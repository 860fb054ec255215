"""A tea shop whose workflow does what none should: ends its process, says what can't be kept, asks at length."""

from __future__ import annotations

from pathlib import Path

from tests.journeys.shop import FILES

MISCHIEF = '''\
"""Mischief."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TypedDict

import anyio
from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import BaseModel

from handrail import WorkflowContext, ask, graph


class Deed(BaseModel):
    how: str
    calls: str | None = None


class Done(BaseModel):
    text: str


class State(TypedDict, total=False):
    how: str
    calls: str | None
    text: str


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def end(how: str, where: str) -> None:
    if how == f"exit {where}":
        sys.exit(3)
    if how == f"interrupt {where}":
        raise KeyboardInterrupt


def blocking(state: State) -> State:
    end(state["how"], "blocking")
    return {}


async def chained(state: State) -> State:
    end(state["how"], "chained")
    return state


def way(state: State) -> str:
    end(state["how"], "way")
    return "waiting"


async def inside(state: State) -> State:
    end(state["how"], "inside")
    return {}


async def called(state: State) -> State:
    end(state["how"], "called")
    return {}


def small(step: Any) -> Any:
    steps = StateGraph(State)
    steps.add_node("step", step)
    steps.add_edge(START, "step")
    return steps.compile()


CALLED = small(called)


async def waiting(state: State, runtime: Runtime[WorkflowContext]) -> State:
    if state["calls"]:
        with Path(state["calls"]).open("a") as file:
            file.write("called\\n")
    await anyio.sleep(0)
    end(state["how"], "waiting")
    await CALLED.ainvoke({"how": state["how"]})
    context = runtime.context
    match state["how"]:
        case "half":
            raise ValueError("half \\ud800 here")
        case "null":
            raise ValueError("null \\x00 here")
        case "mute":
            raise Mute
        case "half noted":
            context.note("half \\ud800 here")
            raise ValueError("bad")
        case "null noted":
            context.note("null", why="\\x00")
            raise ValueError("bad")
        case "half decided":
            context.decide("choice", "half \\ud800", ["null \\x00"])
            raise ValueError("bad")
        case "named kind":
            context.decide("eve@example.com", "yes")
        case "long outcome":
            context.decide("choice", "x" * 201)
        case "large question":
            ask("Pay?", details={"a": "x" * 2_000_000})
        case "large plain question":
            interrupt("x" * 2_000_000)
        case "null question":
            ask("Pay \\x00?", details=["\\x00"])
    return {"text": "ok"}


@graph(input=Deed, output=Done)
def mischief() -> StateGraph:
    """Do mischief."""
    steps = StateGraph(State, context_schema=WorkflowContext)
    steps.add_node("blocking", blocking)
    steps.add_node("chained", RunnableLambda(chained) | (lambda state: {}))
    steps.add_node("inside", small(inside))
    steps.add_node("waiting", waiting)
    steps.add_edge(START, "blocking")
    steps.add_edge("blocking", "chained")
    steps.add_edge("chained", "inside")
    steps.add_conditional_edges("inside", way, ["waiting"])
    steps.add_edge("waiting", END)
    return steps
'''


def write_mischief(folder: Path) -> Path:
    """Write the shop's folder with its workflow."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + ("workflows:\n  mischief: mischief.py\n" if name == "assistant.yaml" else ""))
    (folder / "mischief.py").write_text(MISCHIEF)
    return folder
