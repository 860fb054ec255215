"""Arguments on language models: they say which of the customer's words an argument is, and can make nothing up."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from agents.arguments import Arguments, ArgumentsRequest, texts_of, values_in
from agents.asking import Asker, said_before
from agents.prompts import PromptFile, load_prompt
from policies.types import Tier
from tools.actions import Parameter
from tools.models.ports import Data, Message, Models

TASK = "act"
_SPACE = re.compile(r"\s+")


class Filler(Protocol):
    """Finds what an action is told."""

    async def __call__(self, request: ArgumentsRequest) -> Arguments:
        """Fill in one action's arguments."""
        ...


class Pointed(BaseModel):
    """One argument, in the customer's words."""

    model_config = ConfigDict(extra="forbid")

    name: str
    words: str = Field(max_length=500)


class PointedOut(BaseModel):
    """What a model finds in what a customer has written."""

    model_config = ConfigDict(extra="forbid")

    arguments: list[Pointed] = Field(max_length=50)


class ModelArguments:
    """Asks language models for what the local tier leaves open.

    What they give counts if it stands in the customer's words, or is one of the values that the type lists; if it
    fits the parameter's own pattern and type; and if the local tier found nothing. What the app ``tells`` of its
    customers, by name, is taken from their words only where a pattern says how they write it.
    """

    def __init__(
        self,
        local: Filler,
        models: Models,
        tiers: Sequence[Tier],
        *,
        tells: Collection[str] = (),
        prompt: PromptFile | None = None,
    ) -> None:
        self._local = local
        self._tells = frozenset(tells)
        self._asker = Asker(task=TASK, models=models, tiers=tuple(tiers), prompt=prompt or load_prompt("act"))

    async def __call__(self, request: ArgumentsRequest) -> Arguments:
        """Fill in one action's arguments."""
        found = await self._local(request)
        rest = [each for each in request.action.parameters if each.name not in found.said | found.known]
        asked = [each for each in rest if self._may_be_there(each, request)]
        if request.mandate is None or not asked:
            return found
        before = () if request.only_now else said_before(request.history)
        said = Message(
            role="user",
            text="What was said before, then the message:" if before else "The message:",
            data=(*before, Data(kind="message", text=request.question)),
        )
        reply, _ = await self._asker.ask(request.mandate, said, PointedOut, more=_listed(request, asked))
        if reply is None:
            return found
        more = {each.name: value for each in asked if (value := _value(each, reply, request)) is not None}
        missing = tuple(each for each in found.missing if each.name not in more)
        return replace(found, said={**found.said, **more}, missing=missing)

    def _may_be_there(self, parameter: Parameter, request: ArgumentsRequest) -> bool:
        if parameter.pattern is None:
            # Who a customer is, they can't say themselves.
            return parameter.name not in self._tells
        return any(values_in(parameter, text) for text in texts_of(request))


def _listed(request: ArgumentsRequest, asked: Sequence[Parameter]) -> str:
    lines = [f"The action: {request.action.description}", "Its arguments:"]
    for each in asked:
        values = _closed(each)
        choice = f"; one of: {', '.join(values)}" if values else f" ({each.schema.get('type', 'text')})"
        lines.append(f"- {each.name}: {each.about}{choice}")
    return "\n".join(lines)


def _closed(parameter: Parameter) -> tuple[str, ...]:
    """Return the values that a type lists, as words; nothing for one that does not."""
    schema = parameter.schema
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if schema.get("type") == "boolean":
        values = [True, False]
    return tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in values)


def _value(parameter: Parameter, reply: PointedOut, request: ArgumentsRequest) -> Any:
    """Return the value that a model has pointed out, or None for what must not count."""
    pointed = {_plain(each.words) for each in reply.arguments if each.name == parameter.name}
    if len(pointed) != 1:
        return None
    words = pointed.pop()
    closed = _closed(parameter)
    if (words not in closed) if closed else not _stands_in(words, parameter, request):
        return None
    try:
        return request.action.read(parameter.name, words)
    except ValueError:
        return None


def _stands_in(words: str, parameter: Parameter, request: ArgumentsRequest) -> bool:
    if parameter.pattern is not None:
        return any(
            words.casefold() == _plain(value).casefold()
            for text in texts_of(request)
            for value in values_in(parameter, text)
        )
    # Whole words, and no part of a number.
    place = re.compile(rf"(?<!\w)(?<!\d[.,]){re.escape(words)}(?!\w)(?![.,]\d)", re.IGNORECASE)
    return bool(words) and any(place.search(_plain(text)) for text in texts_of(request))


def _plain(text: str) -> str:
    return _SPACE.sub(" ", text).strip()
