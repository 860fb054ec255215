"""What is heard of a reply has a bound."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from langchain_core.messages import AIMessageChunk

from tools.models.faults import CallFailed
from tools.models.heard import ENDLESS, LONGEST, Heard

pytestmark = pytest.mark.anyio


async def _endless() -> AsyncIterator[AIMessageChunk]:
    while True:
        yield AIMessageChunk(content="1" * 10_000)


async def test_an_endless_reply_is_left() -> None:
    heard, chunks = Heard(), _endless()
    for _ in range(LONGEST // 10_000):
        assert await heard.next_text(chunks)
    with pytest.raises(CallFailed) as failure:
        await heard.next_text(chunks)
    assert failure.value.fault == ENDLESS
    assert len(heard.text) <= LONGEST
