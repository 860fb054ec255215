"""Keeping what a developer's step raises inside its run: no step ends the process.

asyncio hands SystemExit and KeyboardInterrupt to whoever runs the loop, from whichever task raises them, so they have
to be caught in the very function that LangGraph makes a task of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial, wraps
from typing import Any

import anyio
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel, RunnableSequence
from langchain_core.runnables.base import RunnableBindingBase
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.utils.runnable import RunnableCallable

_CONTAINED = "__handrail_contained__"


class StepBroke(RuntimeError):
    """A step raised what would have ended the process; that is the cause."""


def contain(graph: StateGraph[Any, Any, Any, Any]) -> None:
    """Make every function of a graph raise nothing but ordinary errors; graphs inside it are done with it.

    It is done in place and only once, however often a graph is used, since LangGraph looks at these objects to find
    the graphs that are inside.
    """
    seen = set[int]()
    left: list[Any] = [graph]
    while left:
        each = left.pop()
        if id(each) not in seen:
            seen.add(id(each))
            left.extend(_inside(each))
            if isinstance(each, (RunnableCallable, RunnableLambda)):
                _contain_functions(each)


def _inside(each: Any) -> Iterator[Any]:
    """Yield what a graph or a part of one runs."""
    match each:
        case StateGraph():
            yield from (node.runnable for node in each.nodes.values())
            yield from (branch.path for branches in each.branches.values() for branch in branches.values())
        case CompiledStateGraph():
            yield each.builder
        case Pregel():
            yield from (node.bound for node in each.nodes.values())
        case RunnableSequence():
            yield from each.steps
        case RunnableParallel():
            yield from each.steps__.values()
        case RunnableBindingBase():
            yield each.bound
        case RunnableCallable() | RunnableLambda():
            yield from (found for which in ("func", "afunc") for found in _called(getattr(each, which, None)))


def _called(function: Any) -> Iterator[Any]:
    """Yield the graphs that a function holds, since they run when it calls them."""
    function = getattr(function, "__wrapped__", function)
    named = getattr(getattr(function, "__code__", None), "co_names", ())
    known = getattr(function, "__globals__", {})
    held = [known[name] for name in named if name in known]
    for cell in getattr(function, "__closure__", None) or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:
            # Named, and not bound yet.
            continue
    yield from (value for value in held if isinstance(value, Runnable))


def _contain_functions(step: Any) -> None:
    function, waiting = getattr(step, "func", None), getattr(step, "afunc", None)
    if getattr(function or waiting, _CONTAINED, False):
        return
    safe = _contained(function) if function is not None else None
    if safe is not None:
        step.func = safe
    if isinstance(waiting, partial):
        # LangGraph's own: it runs the function in a thread, and is known as such by its being a partial.
        args = [safe if each is function else each for each in waiting.args]
        step.afunc = partial(waiting.func, *args, **waiting.keywords)
    elif waiting is not None:
        step.afunc = _contained_waiting(waiting)


def _contained(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except (SystemExit, KeyboardInterrupt) as error:
            raise StepBroke("a step tried to end the process") from error

    setattr(call, _CONTAINED, True)
    return call


def _contained_waiting(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(function)
    async def call(*args: Any, **named: Any) -> Any:
        try:
            return await function(*args, **named)
        except (SystemExit, KeyboardInterrupt) as error:
            raise StepBroke("a step tried to end the process") from error

    setattr(call, _CONTAINED, True)
    return call
