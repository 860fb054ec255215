"""Events as server-sent events: framing, heartbeat, and how a stream ends."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

import anyio
import orjson
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from graphs.replay import RESYNC
from policies.errors import HandrailError
from tools.storage.store import StoredEvent

log = logging.getLogger("handrail.server")
HEARTBEAT_SECONDS = 10.0
SLOWEST_READ_SECONDS = 60.0
RETRY = b"retry: 2000\n"
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Content-Type-Options": "nosniff"}


class EventStream(EventSourceResponse):
    """A stream of ready-made frames with a heartbeat; a client that stops reading is dropped."""

    def __init__(
        self,
        frames: AsyncIterator[bytes],
        headers: Mapping[str, str] | None = None,
        *,
        beside: Callable[[], Coroutine[None, None, None]] | None = None,
    ) -> None:
        """``beside`` runs while the stream lives and is cancelled with it."""
        super().__init__(
            _guarded(frames),
            data_sender_callable=beside,
            headers={**HEADERS, **(headers or {})},
            ping=HEARTBEAT_SECONDS,
            ping_message_factory=_heartbeat,
            sep="\n",
            send_timeout=SLOWEST_READ_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream until it ends, the client goes or the server stops."""
        closing: anyio.Event = scope["app"].state.lifecycle.closing
        dropped = False
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_when, closing, tasks.cancel_scope)
                await super().__call__(scope, receive, send)
                tasks.cancel_scope.cancel()
        except* SendTimeoutError:
            log.info("a client stopped reading its stream")
            dropped = True
        if self.active and not dropped:
            # The server stops in the middle of the stream: end it in order, so that the reader comes again.
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _cancel_when(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _heartbeat() -> ServerSentEvent:
    return ServerSentEvent(comment="heartbeat", sep="\n")


async def _guarded(frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass frames on; a failure becomes a last, unnumbered ``error`` event, since the status is long sent."""
    retry = RETRY
    try:
        async for each in frames:
            yield retry + each
            retry = b""
    except HandrailError as error:
        yield frame("error", {"code": error.code, "message": error.message, "retryable": True})
    except Exception:
        error_id = f"err_{secrets.token_hex(8)}"
        log.exception("%s: a stream failed", error_id)
        data = {"code": "internal", "message": "Something went wrong here.", "retryable": True}
        yield frame("error", {**data, "error_id": error_id})


def frame(kind: str, data: Any, event_id: str | None = None) -> bytes:
    """Return one event as it goes over the wire; without an id it doesn't move a reader's cursor."""
    numbered = f"id: {event_id}\n" if event_id else ""
    return b"%bevent: %b\ndata: %b\n\n" % (numbered.encode(), kind.encode(), orjson.dumps(data))


def resync(snapshot: str) -> bytes:
    """Return the frame for a reader whose last id this stream never gave out, or who lacks what is gone."""
    return frame("resync", {"snapshot": snapshot})


async def then(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield one frame before the others."""
    yield first
    async for each in rest:
        yield each


async def run_frames(batches: AsyncIterator[list[StoredEvent]]) -> AsyncIterator[bytes]:
    """Frame a run's events, with ids ``run_id:seq``; what came together is sent together."""
    async for batch in batches:
        yield b"".join(_run_frame(each) for each in batch)


async def conversation_frames(batches: AsyncIterator[list[StoredEvent]]) -> AsyncIterator[bytes]:
    """Frame a conversation's events, with ids ``conversation_id:n``."""
    async for batch in batches:
        yield b"".join(_conversation_frame(each) for each in batch)


def _run_frame(event: StoredEvent) -> bytes:
    if event.type == RESYNC:
        return resync(f"/v1/runs/{event.run_id}")
    return frame(event.type, _data(event), f"{event.run_id}:{event.run_seq}")


def _conversation_frame(event: StoredEvent) -> bytes:
    if event.type == RESYNC:
        return resync(f"/v1/conversations/{event.conversation_id}")
    return frame(event.type, _data(event), f"{event.conversation_id}:{event.seq}")


def _data(event: StoredEvent) -> dict[str, Any]:
    return {
        "conversation_id": event.conversation_id,
        "seq": event.seq,
        "run_id": event.run_id,
        "run_seq": event.run_seq,
        "at": event.at,
        **event.data,
    }
