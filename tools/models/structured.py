"""Asks for a reply in a schema by the provider's own means, validates it, and has it mended once."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel, ValidationError

from policies.folder import Structured
from tools.models.errors import BadReply
from tools.models.heard import calls_of, finish_of, told_or_estimated, usage_of
from tools.models.ports import Message, Usage
from tools.models.prompts import Prompt, tokens_in
from tools.models.settings import ModelSettings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

LONGEST_QUOTE = 4_000
FAILURES = 2
"""After so many failures in a row another way of asking is tried."""
_FENCE = re.compile(r"^\s*```(?:json)?\s*\n|\n\s*```\s*$")


class Form:
    """How a model is asked for a reply in a schema: as its settings say, or by what turns out to work.

    Not every server that speaks the wire of OpenAI knows schemas. Where nobody said how to ask and it is such a
    server, JSON with the schema in words is tried after a refusal, or after two failures in a row, for one may
    have other causes. What worked first is kept. Calls at the same time say which way they went.
    """

    def __init__(self, settings: ModelSettings) -> None:
        self._known = settings.structured is not None or settings.base_url is None
        self._failures = 0
        self.how: Structured | None = settings.structured

    def worked(self, used: Structured | None) -> None:
        """Keep the way by which a call went."""
        if not self._known:
            self._known, self.how = True, used

    def failed(self, used: Structured | None, *, refused: bool) -> None:
        """Take the other way next, if there is one and a call that failed went by the present one."""
        if self._known or used != self.how:
            return
        self._failures += 1
        if refused or self._failures >= FAILURES:
            self._failures, self.how = 0, "json_mode" if self.how is None else None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One reply, unvalidated."""

    text: str
    """As JSON, if the model did as it was asked."""
    finish: str
    usage: Usage


async def ask_structured(
    model: BaseChatModel, prompt: Prompt, schema: type[BaseModel], method: Structured | None
) -> Asked:
    """Make one call for a reply in a schema; by ``json_mode`` only the prompt can tell it."""
    # As a mapping, because of a class some clients raise their own errors and lose the reply.
    name = schema.__name__
    wanted: dict[str, Any] = {"title": name, "description": name, **schema.model_json_schema()}
    how = {} if method is None else {"method": method}
    runnable = model.with_structured_output(wanted, include_raw=True, **how)
    result: Any = await runnable.ainvoke(prompt.to_langchain())
    raw, calls = result["raw"], calls_of(result["raw"])
    # A text is read here, strictly: LangChain would complete one that broke off.
    text = orjson.dumps(dict(calls[0].arguments)).decode() if calls else _FENCE.sub("", str(raw.text))
    usage = told_or_estimated(usage_of(raw), prompt.tokens, text)
    return Asked(text=text, finish=finish_of(raw), usage=usage)


async def reply_in(
    schema: type[BaseModel], prompt: Prompt, ask: Callable[[Prompt], Awaitable[Asked]]
) -> BaseModel:
    """Return a reply that fits the schema; one that does not is sent back once with what is wrong.

    Raises ``BadReply``.
    """
    asked = await ask(prompt)
    try:
        return schema.model_validate_json(asked.text)
    except ValidationError as error:
        asked = await ask(_repair(prompt, asked.text, error))
    try:
        return schema.model_validate_json(asked.text)
    except ValidationError as error:
        fields = ", ".join(sorted({_field(schema, each["loc"]) for each in error.errors()}))
        raise BadReply(f"Its reply does not fit the schema {schema.__name__}: {fields}.") from None


def with_schema(prompt: Prompt, schema: type[BaseModel]) -> Prompt:
    """Say in the last message, for some models allow no second one, what the reply must look like."""
    *before, last = prompt.messages
    wanted = orjson.dumps(schema.model_json_schema()).decode()
    text = f"{last.text}\n\nReply with one JSON object and nothing else. It must fit this schema:\n{wanted}"
    more = tokens_in(text) - tokens_in(last.text)
    return Prompt(messages=(*before, replace(last, text=text)), tokens=prompt.tokens + more)


def _repair(prompt: Prompt, reply: str, error: ValidationError) -> Prompt:
    problems = "\n".join(f"- {_place(each['loc'])}: {each['msg']}" for each in error.errors())
    text = f"Your reply does not fit the schema. Reply again, whole, with this mended:\n{problems}"
    said = Message(role="assistant", text=reply[:LONGEST_QUOTE] or "(nothing)")
    more = (said, Message(role="user", text=text))
    tokens = prompt.tokens + sum(tokens_in(each.text) for each in more)
    return Prompt(messages=(*prompt.messages, *more), tokens=tokens)


def _field(schema: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """Name the schema's own field that a place is in: other names in it are the model's words."""
    known = {each.alias or name for name, each in schema.model_fields.items()}
    name = location[0] if location else "the whole"
    return str(name) if name in known or not location else "a field of its own"


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "the whole"
