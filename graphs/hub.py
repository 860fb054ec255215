"""Following events: replay from storage, then live, with no gap between and nothing twice.

A follower registers before it reads. New events reach it through a short ring in memory; whenever the ring does
not connect to what the follower has seen (it was slow, or it has just come), it reads storage instead. So a
slow reader costs no memory beyond the ring and holds nobody back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio

from tools.storage import events
from tools.storage.store import StoredEvent, Workspace

RING = 256
SAFETY_POLL_SECONDS = 5.0


@dataclass
class _Channel:
    """What those who follow one conversation share."""

    ring: deque[StoredEvent] = field(default_factory=lambda: deque(maxlen=RING))
    bell: anyio.Event = field(default_factory=anyio.Event)
    followers: int = 0


class Hub:
    """Rings the bell of those who follow a conversation."""

    def __init__(self) -> None:
        self._channels: dict[str, _Channel] = {}

    def publish(self, new: list[StoredEvent]) -> None:
        """Pass on events that are on disk."""
        for conversation_id in {event.conversation_id for event in new}:
            channel = self._channels.get(conversation_id)
            if channel is None:
                continue
            channel.ring.extend(event for event in new if event.conversation_id == conversation_id)
            bell, channel.bell = channel.bell, anyio.Event()
            bell.set()

    @contextmanager
    def listen(self, conversation_id: str) -> Iterator[_Channel]:
        """Register as a follower; a channel lives as long as somebody follows."""
        channel = self._channels.setdefault(conversation_id, _Channel())
        channel.followers += 1
        try:
            yield channel
        finally:
            channel.followers -= 1
            if not channel.followers:
                self._channels.pop(conversation_id, None)

    async def follow(
        self, workspace: Workspace, conversation_id: str, *, after: int
    ) -> AsyncIterator[list[StoredEvent]]:
        """Yield all events of a conversation after a number, then those to come, together, for ever."""
        with self.listen(conversation_id) as channel:
            async for batch in _follow(workspace, conversation_id, channel, after):
                yield batch


async def _follow(
    workspace: Workspace, conversation_id: str, channel: _Channel, after: int
) -> AsyncIterator[list[StoredEvent]]:
    cursor, unsure = after, True
    while True:
        bell = channel.bell
        batch = _connected(channel.ring, cursor)
        if batch is None or (unsure and not batch):
            batch = await workspace.read(
                partial(events.of_conversation, conversation_id=conversation_id, after=cursor)
            )
        unsure = False
        if batch:
            yield batch
            cursor = batch[-1].seq
        else:
            with anyio.move_on_after(SAFETY_POLL_SECONDS) as waited:
                await bell.wait()
            unsure = waited.cancelled_caught


def _connected(ring: deque[StoredEvent], cursor: int) -> list[StoredEvent] | None:
    """Return what the ring has after ``cursor``, or None when it does not connect to it."""
    later = sorted((event for event in ring if event.seq > cursor), key=lambda event: event.seq)
    unbroken = all(event.seq == cursor + offset for offset, event in enumerate(later, start=1))
    return later if unbroken else None
