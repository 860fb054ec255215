"""Keeping what a developer's step raises inside its run: no step ends the process.

asyncio hands SystemExit and KeyboardInterrupt to whoever runs the loop, from whichever task raises them, so they
have to be caught in the very function that LangGraph makes a task of.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from functools import partial, wraps
from typing import Any

from langchain_core.runnables import Runnable, RunnableParallel
from langchain_core.runnables.base import RunnableBindingBase
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel

_CONTAINED = "__handrail_contained__"
_FUNCTIONS, _COROUTINES = ("func",), ("afunc", "coroutine")
"""The names under which runnables of LangGraph and LangChain hold a developer's functions."""


class StepBroke(RuntimeError):
    """A step raised what would have ended the process; that is the cause."""


def contain(graph: StateGraph[Any, Any, Any, Any]) -> None:
    """Make the functions of a graph, and of graphs inside it, raise nothing but ordinary errors.

    It is done in place, and once however often a graph is used: LangGraph looks at these very objects to find the
    graphs that are inside.
    """
    seen = dict[int, Any]()
    left: list[Any] = [graph]
    while left:
        each = left.pop()
        if id(each) not in seen:
            seen[id(each)] = each
            left.extend(_inside(each))
            if isinstance(each, Runnable):
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
        case RunnableParallel():
            yield from each.steps__.values()
        case RunnableBindingBase():
            yield each.bound
        case Runnable():
            yield from getattr(each, "steps", ())
            yield from getattr(each, "tools_by_name", {}).values()
            for name in (*_FUNCTIONS, *_COROUTINES):
                yield from _held(getattr(each, name, None))


def _held(function: Any) -> Iterator[Runnable[Any, Any]]:
    """Yield the graphs and the like that a function names, since they run when it calls them."""
    function = inspect.unwrap(function) if callable(function) else function
    known = getattr(function, "__globals__", {})
    held = [known[name] for name in getattr(function, "__code__", _held.__code__).co_names if name in known]
    for cell in getattr(function, "__closure__", None) or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:
            # Named, and not bound yet.
            continue
    yield from (value for value in held if isinstance(value, Runnable))


def _contain_functions(step: Any) -> None:
    # Its own attributes alone: a binding has those of what it binds as well, and takes none.
    own = vars(step)
    function: Any = own.get("func")
    for name in _COROUTINES:
        waiting: Any = own.get(name)
        if isinstance(waiting, partial):
            # LangGraph's own: it calls the function in a thread, and is told from others by its being a partial.
            args = [_contained(each) if each is function else each for each in waiting.args]
            own[name] = wraps(waiting)(partial(waiting.func, *args, **waiting.keywords))
        elif inspect.iscoroutinefunction(waiting) or inspect.iscoroutinefunction(type(waiting).__call__):
            own[name] = _contained_waiting(waiting)
    if callable(function) and not inspect.isgeneratorfunction(function):
        own["func"] = _contained(function)


def _contained(function: Callable[..., Any]) -> Callable[..., Any]:
    if getattr(function, _CONTAINED, False):
        return function

    @wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except (SystemExit, KeyboardInterrupt) as error:
            raise StepBroke("a step tried to end the process") from error

    setattr(call, _CONTAINED, True)
    return call


def _contained_waiting(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    if getattr(function, _CONTAINED, False):
        return function

    @wraps(function)
    async def call(*args: Any, **named: Any) -> Any:
        try:
            return await function(*args, **named)
        except (SystemExit, KeyboardInterrupt) as error:
            raise StepBroke("a step tried to end the process") from error

    setattr(call, _CONTAINED, True)
    return call
