"""Arguments on language models: they say which of the customer's words an argument is, and can make nothing up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from agents.arguments import Arguments, ArgumentsRequest, texts_of
from agents.asking import Asker, said_before
from agents.prompts import PromptFile, load_prompt
from agents.whole_values import as_read, stands_whole
from policies.types import Tier
from tools.actions import Parameter
from tools.models.ports import Data, Message, Models

TASK = "act"


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

    They are asked only for what has no pattern: where one says how a value is written and finds none, two, or a
    part of something longer, the value stays missing, and no model chooses. What they give counts if it stands
    whole in the customer's words or is one of the values that the type lists, and if it fits the type. What the
    app ``tells`` of its customers, by name, is never taken from their words like that.
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
        asked = [each for each in rest if each.pattern is None and each.name not in self._tells]
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
    pointed = {as_read(each.words) for each in reply.arguments if each.name == parameter.name}
    if len(pointed) != 1:
        return None
    words = pointed.pop()
    closed = _closed(parameter)
    there = words in closed if closed else any(stands_whole(words, text) for text in texts_of(request))
    if not there:
        return None
    try:
        return request.action.read(parameter.name, words)
    except ValueError:
        return None
