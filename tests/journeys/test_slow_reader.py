"""A reader who does not read: nobody waits for it, it costs little, and it gets everything once it does read."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio
import anyio.to_thread
import pytest
from httpx_sse import aconnect_sse

from policies import sentence_form
from server import streams
from tests.journeys.shop import OpenShop, Shop, take_until

pytestmark = pytest.mark.anyio

TURNS = 12
LONG = "long please"
# Enough that what is not read fills the socket's buffers many times over.
SENTENCE = "Delivery takes three days. " * 16_000


@pytest.fixture(name="own")
async def own_fixture(open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    """Open a shop whose answers are long, in one sentence that would be refused for that elsewhere."""
    monkeypatch.setattr(sentence_form, "LONGEST", len(SENTENCE))
    async with open_shop() as opened:
        opened.drafter.script[LONG] = (SENTENCE,)
        yield opened


@contextmanager
def follow_without_reading(shop: Shop, conversation: str) -> Iterator[socket.socket]:
    """Ask for a conversation's stream over a connection with small buffers, and leave it at that."""
    port = shop.http.base_url.port
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(20)
        raw.connect(("127.0.0.1", port))
        path = f"/v1/conversations/{conversation}/events"
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        yield raw


def read_until(raw: socket.socket, mark: bytes) -> bytes:
    """Read a connection until a mark comes, or to its end."""
    seen = bytearray()
    while mark not in seen[-1_000_000:] and (piece := raw.recv(65_536)):
        seen += piece
    return bytes(seen)


def numbers(seen: bytes) -> list[int]:
    """Return the numbers of the events in a stream, in the order in which they came."""
    return [int(line.rpartition(b":")[2]) for line in seen.splitlines() if line.startswith(b"id: ")]


async def test_a_reader_who_does_not_read_holds_nobody_back_and_misses_nothing(own: Shop) -> None:
    conversation = await own.conversation()
    path = f"/v1/conversations/{conversation}/events"
    with follow_without_reading(own, conversation) as idle:
        async with aconnect_sse(own.http, "GET", path) as source:
            assert source.response.headers["x-accel-buffering"] == "no"
            stream = source.aiter_sse()
            told: list[int] = []
            for _ in range(TURNS):
                await own.ask(conversation, LONG, Prefer="respond-async")
                told += [each.json()["seq"] for each in await take_until("run.finished", stream)]
        assert told == list(range(1, len(told) + 1))
        mark = f"id: {conversation}:{told[-1]}\n".encode()
        assert numbers(await anyio.to_thread.run_sync(read_until, idle, mark)) == told


async def test_a_reader_who_never_reads_is_dropped(own: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SLOWEST_READ_SECONDS", 0.3)
    conversation = await own.conversation()
    with follow_without_reading(own, conversation) as idle:
        for _ in range(TURNS):
            assert (await own.ask(conversation, LONG)).json()["outcome"] == "answered"
        await anyio.sleep(0.6)
        last = (await own.get(f"/v1/conversations/{conversation}"))["last_event"]
        mark = f"id: {conversation}:{last}\n".encode()
        seen = await anyio.to_thread.run_sync(read_until, idle, mark)
    assert numbers(seen)[-1] < last
