"""Chunks of OpenAI's wire as they come: its client would make objects of each, which LangChain takes apart again.

That is most of what reading a reply costs. Importing this imports the provider's package.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

from openai import AsyncStream
from openai.resources.chat.completions import AsyncCompletions
from openai.types.chat import ChatCompletionChunk


class PlainCompletions(AsyncCompletions):
    """The chat completions of a client, of which a streamed reply comes as plain JSON."""

    async def create(self, **arguments: Any) -> Any:
        """Ask as ever; what is not streamed comes as ever."""
        found: Any = await super().create(**arguments)
        if not isinstance(found, AsyncStream):
            return found
        return PlainChunks(AsyncStream(cast_to=object, response=found.response, client=self._client))


class PlainChunks:
    """A reply's chunks as mappings, with all fields that LangChain looks for; whoever reads them closes them."""

    def __init__(self, stream: AsyncStream[object]) -> None:
        self._stream = stream

    async def __aenter__(self) -> Self:
        """Give the chunks."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self._stream.close()

    async def __aiter__(self) -> AsyncIterator[object]:
        """Yield the chunks; raises what OpenAI's client raises."""
        async for chunk in self._stream:
            yield chunk if _is_text(chunk) or not isinstance(chunk, dict) else _completed(chunk)


def _is_text(chunk: object) -> bool:
    """Whether a chunk is one piece of text and nothing else, as nearly all are: it lacks no field that counts."""
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return False
    delta = choices[0].get("delta")
    return (
        isinstance(delta, dict)
        and isinstance(delta.get("content"), str)
        and not delta.keys() - {"role", "content"}
    )


def _completed(chunk: Mapping[str, Any]) -> object:
    """Return any other chunk as OpenAI's client reads it: some servers leave out what LangChain asks for."""
    return ChatCompletionChunk.construct(**chunk)
