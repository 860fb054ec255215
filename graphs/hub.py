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

from graphs.replay import next_of_conversation
from policies.errors import Unavailable
from tools.storage import events
from tools.storage.store import StoredEvent, Workspace

RING = 256
SAFETY_POLL_SECONDS = 5.0
AWAY_SECONDS = 0.5


@dataclass
class _Channel:
    """What those who follow one conversation share."""

    ring: deque[StoredEvent] = field(default_factory=lambda: deque(maxlen=RING))
    bell: anyio.Event = field(default_factory=anyio.Event)
    doubt: int = 0
    """Rises whenever there may be rows that the ring does not have."""
    followers: int = 0

    def wake(self) -> None:
        """Let all who follow look again."""
        bell, self.bell = self.bell, anyio.Event()
        bell.set()


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
            channel.wake()

    def heard(self, conversation_id: str, number: int) -> None:
        """Note that a conversation has events up to a number, whoever stored them."""
        channel = self._channels.get(conversation_id)
        if channel is not None and not (channel.ring and channel.ring[-1].seq >= number):
            channel.doubt += 1
            channel.wake()

    def missed(self) -> None:
        """Let everybody look at the rows: signs from other processes may have been lost."""
        for channel in self._channels.values():
            # A database that failed over may have lost what the ring holds.
            channel.ring.clear()
            channel.doubt += 1
            channel.wake()

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
        """Yield all events of a conversation after a number, then those to come, together, for ever.

        One ``resync`` stands for those that are kept no more.
        """
        with self.listen(conversation_id) as channel:
            async for batch in _follow(workspace, conversation_id, channel, after):
                yield batch


async def _follow(
    workspace: Workspace, conversation_id: str, channel: _Channel, after: int
) -> AsyncIterator[list[StoredEvent]]:
    cursor = after
    settled: int | None = None
    while True:
        bell, doubt = channel.bell, channel.doubt
        batch = _connected(channel.ring, cursor)
        if batch is None or (not batch and settled != doubt):
            batch = await _page(workspace, conversation_id, cursor)
            # A full page may have more behind it.
            settled = doubt if len(batch) < events.PAGE else None
        if batch:
            yield batch
            cursor = batch[-1].seq
        elif settled == doubt:
            with anyio.move_on_after(SAFETY_POLL_SECONDS) as waited:
                await bell.wait()
            settled = None if waited.cancelled_caught else settled


async def _page(workspace: Workspace, conversation_id: str, after: int) -> list[StoredEvent]:
    """Read the next rows; a database that is away is waited for, so that streams outlive its restart."""
    while True:
        try:
            return await workspace.read(
                partial(next_of_conversation, conversation_id=conversation_id, after=after)
            )
        except Unavailable:
            await anyio.sleep(AWAY_SECONDS)


def _connected(ring: deque[StoredEvent], cursor: int) -> list[StoredEvent] | None:
    """Return what the ring has after ``cursor``, or None when it does not connect to it."""
    later = sorted((event for event in ring if event.seq > cursor), key=lambda event: event.seq)
    unbroken = all(event.seq == cursor + offset for offset, event in enumerate(later, start=1))
    return later if unbroken else None
