"""Chunks that come as plain JSON say what OpenAI's own client makes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from evals.stub_model import Answer, serving
from tests.tools.models.requests import quick
from tools.models.openai_chunks import PlainChunks, PlainCompletions
from tools.models.providers import open_model

pytestmark = pytest.mark.anyio


class Given:
    """A stream of chunks that is no connection."""

    def __init__(self, *chunks: object) -> None:
        self.chunks = chunks
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[object]:
        for each in self.chunks:
            yield each

    async def close(self) -> None:
        self.closed = True


async def read(*chunks: object) -> list[Any]:
    """Return what is made of some chunks."""
    given = Given(*chunks)
    async with PlainChunks(given) as plain:  # type: ignore[arg-type]
        found = [each async for each in plain]
    assert given.closed
    return found


async def test_a_piece_of_text_comes_as_it_is() -> None:
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "All"}}]}
    assert await read(chunk) == [chunk]


@pytest.mark.parametrize(
    "choice",
    [
        {"index": 0, "finish_reason": "stop"},
        {"index": 0, "delta": {"tool_calls": [{"id": "call_1", "function": {"name": "look", "arguments": "{}"}}]}},
        {"index": 0, "delta": {"content": None}},
    ],
)
async def test_what_a_server_leaves_out_is_filled_in(choice: dict[str, Any]) -> None:
    [found] = await read({"id": "c", "choices": [choice]})
    [filled] = found.model_dump()["choices"]
    calls = (filled["delta"] or {}).get("tool_calls") or []
    assert (filled["finish_reason"], [each["index"] for each in calls]) == (
        choice.get("finish_reason"),
        [None] * len(calls),
    )


async def test_a_reply_over_the_wire_is_the_same_as_without() -> None:
    replies: list[list[tuple[object, ...]]] = []
    async with serving([Answer(text="All is well.")]) as stub:
        for plain in (True, False):
            opened = open_model(quick(url=stub.url))
            model: Any = opened.model
            assert isinstance(model.async_client, PlainCompletions)
            if not plain:
                model.async_client = model.root_async_client.chat.completions
            chunks: list[AIMessageChunk] = [each async for each in model.astream("Is it?")]
            replies.append([(each.content, each.usage_metadata, each.response_metadata) for each in chunks])
            assert opened.close is not None
            await opened.close()
    assert replies[0] == replies[1]
    assert "".join(str(content) for content, *_ in replies[0]) == "All is well."
