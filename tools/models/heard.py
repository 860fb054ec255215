"""What a model has said so far: gathers the chunks of one reply."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from tools.models.faults import CallFailed, Fault
from tools.models.ports import ToolCall, Usage
from tools.models.prompts import tokens_in

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, AIMessageChunk

FINISHES = ("finish_reason", "stop_reason", "done_reason")
LONGEST = 200_000
"""No reply has more characters; one that has is left, so that it fills no memory."""
CUT = Fault(code="model.cut", text="Its reply broke off.")
ENDLESS = Fault(code="model.endless", text="Its reply did not end.", retry=False)
EMPTY = Fault(code="model.empty", text="Its reply was empty.")


class Heard:
    """One reply, as far as it has come."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._length = 0
        self._calls: AIMessageChunk | None = None
        self._usage: Usage | None = None
        self.finish = ""

    @property
    def text(self) -> str:
        """Everything that was said."""
        return "".join(self._texts)

    @property
    def said_anything(self) -> bool:
        """Whether a text or a tool call has begun."""
        return bool(self._texts) or self._calls is not None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools it wants to be called."""
        return calls_of(self._calls) if self._calls is not None else ()

    async def next_text(self, chunks: AsyncIterator[AIMessageChunk]) -> str | None:
        """Return the next text that is not empty, or None at the end; a tool call that begins counts as one.

        Raises ``CallFailed`` when the reply is longer than any may be.
        """
        async for chunk in chunks:
            begun = self.said_anything
            text = self._take(chunk)
            if text or (self.said_anything and not begun):
                return text
        return None

    def usage(self, prompt_tokens: int) -> Usage:
        """Return what the provider says was used, or else an estimate."""
        return told_or_estimated(self._usage, prompt_tokens, self.text)

    def check(self, announces_end: bool) -> None:
        """Raise ``CallFailed`` if this reply, which has ended, is not a whole one."""
        if announces_end and not self.finish:
            raise CallFailed(CUT)
        if not self.text.strip() and self._calls is None:
            raise CallFailed(EMPTY)

    def _take(self, chunk: AIMessageChunk) -> str:
        text = str(chunk.text)
        self._length += len(text) + sum(len(each["args"] or "") for each in chunk.tool_call_chunks)
        if self._length > LONGEST:
            raise CallFailed(ENDLESS)
        if text:
            self._texts.append(text)
        if chunk.tool_call_chunks:
            self._calls = chunk if self._calls is None else self._calls + chunk
        if chunk.usage_metadata:
            self._usage = (self._usage or Usage()) + usage_of(chunk)
        self.finish = self.finish or finish_of(chunk)
        return text


def told_or_estimated(told: Usage | None, prompt_tokens: int, text: str) -> Usage:
    """Return what a provider says was used; an estimate where it says nothing, or that nothing was."""
    if told is not None and told.tokens > 0:
        return told
    return Usage(input_tokens=prompt_tokens, output_tokens=tokens_in(text), estimated=True)


def usage_of(message: AIMessage) -> Usage:
    """Return the tokens that a message says were used; none when it says nothing, or less than nothing."""
    told: Mapping[str, Any] = message.usage_metadata or {}
    return Usage(
        input_tokens=_count(told.get("input_tokens")),
        output_tokens=_count(told.get("output_tokens")),
        cached_tokens=_count((told.get("input_token_details") or {}).get("cache_read")),
    )


def _count(told: Any) -> int:
    return max(0, int(told or 0))


def finish_of(message: AIMessage) -> str:
    """Return why a reply ended, or nothing when the message does not say."""
    said = (message.response_metadata.get(name) for name in FINISHES)
    return next((str(each) for each in said if each), "")


def calls_of(message: AIMessage) -> tuple[ToolCall, ...]:
    """Return the tools that a message wants to be called."""
    return tuple(
        ToolCall(name=each["name"], arguments=each["args"], id=each["id"] or "") for each in message.tool_calls
    )
