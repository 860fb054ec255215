"""How a developer writes a tool of an assistant: a typed function with a docstring and ``@tool``.

Nothing here imports anything of ours, so that an app can test its tools in a process of its own. What an assistant
makes of a marked function is told by ``tools/own_actions.py``, which knows these classes by their marks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Found:
    """Where an argument stands in a customer's words: ``Annotated[str, Found(r"LO-\\d{4,}", "an order number")]``.

    The pattern is searched whatever the case, in the text as it reads; its first group that has anything, or all
    of it, is the value. Two different values in one text are none, and so is a part of something longer (``$1`` of
    ``$1,000``): let a pattern find too much rather than look away. No model chooses where there is a pattern.
    """

    pattern: str
    about: str
    """What it is, as a person would say it; who gets the question reads that it is missing."""
    __handrail_found__: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class ToolContext:
    """What a tool may know besides its arguments; a parameter of this type gets it. Personal data is masked."""

    key: str
    """Names this one effect for ever: the same key comes again when the same thing is tried again."""
    data: Path
    """A folder for what the assistant's tools keep; it is there."""
    customer_id: str | None = None
    """Who asks, as the app named its user; None for somebody whom it did not name."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What the app told of the customer."""
    locale: str | None = None
    workspace_id: str = ""
    conversation_id: str = ""
    run_id: str = ""
    intent: str = ""
    question: str = ""
    """The customer's messages that are answered, with placeholders."""
    language: str = ""
    facts: Mapping[str, float | bool] = field(default_factory=dict)
    """What the tool's ``facts`` were when policy was asked; empty where they could not be had."""
    __handrail_context__: ClassVar[bool] = True


class Refused(Exception):
    """Raised by a tool that did nothing, with why: a person gets the conversation and reads it."""

    __handrail_refused__ = True


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What ``@tool`` says of a function."""

    effect: bool
    idempotent: bool
    timeout: float
    facts: Callable[..., Any] | None = None


@overload
def tool(function: F, /) -> F:
    """Mark a function that changes nothing."""


@overload
def tool(
    *,
    effect: bool = False,
    idempotent: bool = False,
    timeout: float = 5.0,
    facts: Callable[..., Mapping[str, float | bool]] | None = None,
) -> Callable[[F], F]:
    """Return what marks a function."""


def tool(
    function: F | None = None,
    /,
    *,
    effect: bool = False,
    idempotent: bool = False,
    timeout: float = 5.0,
    facts: Callable[..., Mapping[str, float | bool]] | None = None,
) -> F | Callable[[F], F]:
    """Mark a function as a tool; it stays the function it is.

    ``effect`` says that it changes something outside, so that it is called once. With ``idempotent`` it may be
    called again with the same ``ToolContext.key`` when nobody knows how a call ended. ``timeout`` is in seconds.

    ``facts`` is a function that only looks: called before an effect is done, with those of the tool's arguments
    that it has parameters for, it returns names with numbers and truth values, which rules ``on: action`` see as
    ``facts`` and whoever approves reads. What this effect did itself, under ``ToolContext.key``, must not count.
    """

    def marked(each: F) -> F:
        declared = Declared(effect=effect, idempotent=idempotent, timeout=timeout, facts=facts)
        each.__handrail_tool__ = declared  # type: ignore[attr-defined]
        return each

    return marked if function is None else marked(function)
