from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace

import anyio
import pytest

from policies.errors import HandrailError, Unavailable
from server.lifecycle import Lifecycle
from server.problems import status_of
from server.streams import EventStream, conversation_frames, frame, run_frames
from tools.storage.store import StoredEvent

pytestmark = pytest.mark.anyio

EVENT = StoredEvent(
    conversation_id="con_1",
    seq=4,
    run_id="run_1",
    run_seq=2,
    type="message.delta",
    audience="customer",
    data={"text": "two\nlines"},
    at="2026-01-05T12:00:00.000000+00:00",
)
DATA = (
    b'{"conversation_id":"con_1","seq":4,"run_id":"run_1","run_seq":2,'
    b'"at":"2026-01-05T12:00:00.000000+00:00","text":"two\\nlines"}'
)


async def stored() -> AsyncIterator[list[StoredEvent]]:
    yield [EVENT]


async def sent(stream: EventStream) -> list[bytes]:
    """Return the pieces that a stream sends to a client that stays."""
    pieces: list[bytes] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        if message["type"] == "http.response.body" and message["body"]:
            pieces.append(message["body"])

    async def receive() -> dict[str, str]:
        await anyio.sleep_forever()
        raise AssertionError

    app = SimpleNamespace(state=SimpleNamespace(lifecycle=Lifecycle()))
    await stream({"type": "http", "method": "GET", "app": app}, receive, send)
    return pieces


async def test_a_runs_event_is_numbered_within_the_run() -> None:
    frames = [each async for each in run_frames(stored())]
    assert frames == [b"id: run_1:2\nevent: message.delta\ndata: %b\n\n" % DATA]


async def test_a_conversations_event_is_numbered_within_the_conversation() -> None:
    frames = [each async for each in conversation_frames(stored())]
    assert frames == [b"id: con_1:4\nevent: message.delta\ndata: %b\n\n" % DATA]


async def test_only_the_first_frame_says_when_to_come_again() -> None:
    async def frames() -> AsyncIterator[bytes]:
        yield frame("a", 1)
        yield frame("b", 2)

    assert await sent(EventStream(frames())) == [
        b"retry: 2000\nevent: a\ndata: 1\n\n",
        b"event: b\ndata: 2\n\n",
    ]


@pytest.mark.parametrize(
    ("failure", "code"), [(Unavailable("No disk."), b"unavailable"), (RuntimeError("secret"), b"internal")]
)
async def test_a_failure_in_mid_stream_is_told_without_moving_the_cursor(failure: Exception, code: bytes) -> None:
    async def frames() -> AsyncIterator[bytes]:
        yield frame("a", 1, "run_1:1")
        raise failure

    first, last = await sent(EventStream(frames()))
    assert first == b"retry: 2000\nid: run_1:1\nevent: a\ndata: 1\n\n"
    assert last.startswith(b'event: error\ndata: {"code":"%b"' % code)
    assert b"secret" not in last
    assert b"\nid:" not in last


async def test_a_silent_stream_beats_its_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.streams.HEARTBEAT_SECONDS", 0.02)

    async def frames() -> AsyncIterator[bytes]:
        await anyio.sleep(0.07)
        yield frame("a", 1)

    pieces = await sent(EventStream(frames()))
    assert set(pieces[:-1]) == {b": heartbeat\n\n"}
    assert pieces[-1] == b"retry: 2000\nevent: a\ndata: 1\n\n"


def test_every_error_of_ours_has_a_status() -> None:
    def kinds(kind: type[HandrailError]) -> list[type[HandrailError]]:
        return [kind, *(each for below in kind.__subclasses__() for each in kinds(below))]

    statuses = {kind.__name__: status_of(kind("It went wrong.")) for kind in kinds(HandrailError)}
    assert {
        "HandrailError": 500,
        "ConfigError": 500,
        "InputError": 400,
        "NotFound": 404,
        "Conflict": 409,
        "IdempotencyMismatch": 422,
        "Fenced": 409,
        "Overtaken": 409,
        "Unavailable": 503,
        "GuardFailed": 500,
    }.items() <= statuses.items()
