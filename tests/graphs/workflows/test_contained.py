"""Whatever a step is made of, it raises an ordinary error instead of ending the process; a cancellation passes."""

from __future__ import annotations

import sys
from typing import Any, TypedDict

import anyio
import anyio.lowlevel
import pytest
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langgraph.graph import START, StateGraph

from graphs.workflows.contained import StepBroke, contain

pytestmark = pytest.mark.anyio


class State(TypedDict, total=False):
    """What the steps are given."""

    text: str


def leave(_state: Any) -> Any:
    sys.exit(3)


async def leave_later(_state: Any) -> Any:
    await anyio.lowlevel.checkpoint()
    raise KeyboardInterrupt


class Leaver:
    """A step that is an object."""

    async def __call__(self, _state: State) -> State:
        """Leave."""
        sys.exit(3)


STEPS: dict[str, Any] = {
    "a function": leave,
    "one that waits": leave_later,
    "an object": Leaver(),
    "a chain": RunnableLambda(leave_later) | RunnableLambda(leave),
    "side by side": RunnableParallel(text=leave_later),
    "bound": RunnableLambda(leave).with_config(tags=["bound"]),
}


def graph_of(step: Any) -> StateGraph[Any, Any, Any, Any]:
    steps: Any = StateGraph(State)
    steps.add_node("step", step)
    steps.add_edge(START, "step")
    built: StateGraph[Any, Any, Any, Any] = steps
    return built


@pytest.mark.parametrize("kind", STEPS)
async def test_what_would_end_the_process_is_an_ordinary_error(kind: str) -> None:
    built = graph_of(STEPS[kind])
    compiled = built.compile()
    contain(built)
    with pytest.raises(StepBroke) as error:
        await compiled.ainvoke({"text": "tea"})
    assert isinstance(error.value.__cause__, (SystemExit, KeyboardInterrupt))


async def test_a_graph_that_is_used_twice_is_contained_once() -> None:
    built = graph_of(leave)
    contain(built)
    function = vars(built.nodes["step"].runnable)["func"]
    contain(built)
    assert vars(built.nodes["step"].runnable)["func"] is function
    assert function.__wrapped__ is leave


async def test_a_cancellation_passes() -> None:
    async def wait(_state: State) -> State:
        await anyio.sleep_forever()
        return {}

    built = graph_of(wait)
    compiled = built.compile()
    contain(built)
    with anyio.move_on_after(0.05) as scope:
        await compiled.ainvoke({"text": "tea"})
    assert scope.cancelled_caught
