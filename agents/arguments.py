"""What an action is told: values found in the customer's words, and what the app told of the customer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.whole_values import written
from policies.types import JSON, Turn
from tools.actions import Parameter, TakesArguments
from tools.models.mandate import Mandate


@dataclass(frozen=True, kw_only=True)
class ArgumentsRequest:
    """One action, and where its arguments may be found."""

    action: TakesArguments
    question: str
    history: tuple[Turn, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    only_now: bool = False
    """Whether only the present question counts, and nothing that was said before."""
    mandate: Mandate | None = None


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What an action is told."""

    said: JSON
    """Values from the customer's words, by parameter."""
    known: JSON = field(default_factory=dict)
    """Values that the app told of the customer, by parameter; they are kept nowhere."""
    missing: tuple[Parameter, ...] = ()
    """What it must be told and nobody said."""


class LocalArguments:
    """Finds what has a pattern in the words, and what has the name of an attribute; makes nothing up."""

    async def __call__(self, request: ArgumentsRequest) -> Arguments:
        """Fill in one action's arguments."""
        said, known = {}, {}
        for each in request.action.parameters:
            found = next((found for text in texts_of(request) if (found := written(each, text)).any), None)
            if found is not None:
                # Of two orders that are named, neither is the one, and what is known is not put for them.
                if found.only is not None and (value := _read(request.action, each, found.only)) is not None:
                    said[each.name] = value
            elif (value := _known(each, request)) is not None:
                known[each.name] = value
        missing = [each for each in request.action.parameters if each.required and each.name not in said | known]
        return Arguments(said=said, known=known, missing=tuple(missing))


def texts_of(request: ArgumentsRequest) -> Iterator[str]:
    """Yield where a value may stand: the question, then what the customer said before, latest first."""
    yield request.question
    if not request.only_now:
        yield from (said.text for said in reversed(request.history) if said.author == "customer")


def _known(parameter: Parameter, request: ArgumentsRequest) -> Any:
    value = request.attributes.get(parameter.name)
    return None if value is None else _read(request.action, parameter, value)


def _read(action: TakesArguments, parameter: Parameter, value: Any) -> Any:
    try:
        return action.read(parameter.name, value)
    except ValueError:
        return None
