"""The server that stands in for a language model outlives whatever is sent to it."""

from __future__ import annotations

import anyio
import pytest

from evals.stub_model import serving

pytestmark = pytest.mark.anyio

CHAT = b'POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 16\r\n\r\n{"messages": []}'


async def sent(url: str, request: bytes) -> bytes:
    """Send a request and return the first line of what comes back."""
    host, _, port = url.removeprefix("http://").removesuffix("/v1").partition(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(request)
        received = b""
        while b"\r\n" not in received:
            received += await stream.receive()
    return received.partition(b"\r\n")[0]


@pytest.mark.parametrize(
    "bodiless",
    [
        b"GET /v1/models HTTP/1.1\r\nHost: here\r\nX-Empty:\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["get", "empty"],
)
async def test_a_request_without_a_body_is_answered_and_the_next_one_too(bodiless: bytes) -> None:
    async with serving() as stub:
        assert await sent(stub.url, bodiless) == b"HTTP/1.1 404 Not Found"
        assert await sent(stub.url, CHAT) == b"HTTP/1.1 200 OK"
        assert stub.bodies == [{"messages": []}]
