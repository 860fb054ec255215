"""Jobs that wait in memory: one line per lock, and of each line only the first may begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from policies.types import JSON


@dataclass(kw_only=True)
class Item:
    """A job that is due."""

    id: int
    queue: str
    task: str
    args: JSON
    lock: str | None
    dedupe: str | None
    attempts: int = 0


class Lines:
    """Which job begins next: the one with the lowest id whose lock is free and whose queue is asked for."""

    def __init__(self) -> None:
        self._waiting: dict[int, Item] = {}
        self._busy: set[str] = set()
        self._lines: dict[str, list[int]] = {}
        # Per queue, ids that may begin; one that may not any more is dropped when it comes up.
        self._ready: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Item) -> None:
        """Let a job wait."""
        self._waiting[item.id] = item
        if item.lock is None:
            self._offer(item)
        else:
            heappush(self._lines.setdefault(item.lock, []), item.id)
            self._offer_first(item.lock)

    def take(self, queues: Sequence[str] | None) -> Item | None:
        """Return the next job of these queues (any when None); its lock is taken until ``release``."""
        names = list(self._ready) if queues is None else queues
        firsts = [first for name in names if (first := self._first(name)) is not None]
        if not firsts:
            return None
        item = self._waiting.pop(min(firsts))
        heappop(self._ready[item.queue])
        if item.lock is not None:
            heappop(self._lines[item.lock])
            self._busy.add(item.lock)
        return item

    def release(self, item: Item) -> None:
        """Free the lock of a job that is done."""
        if item.lock is not None:
            self._busy.discard(item.lock)
            self._offer_first(item.lock)

    def put_back(self, item: Item) -> None:
        """Let a job wait again that was taken, at its old place."""
        if item.lock is not None:
            self._busy.discard(item.lock)
        self.add(item)

    def _first(self, queue: str) -> int | None:
        ready = self._ready.get(queue, [])
        while ready and not self._may_begin(ready[0]):
            heappop(ready)
        return ready[0] if ready else None

    def _may_begin(self, item_id: int) -> bool:
        item = self._waiting.get(item_id)
        if item is None or item.lock is None:
            return item is not None
        return item.lock not in self._busy and self._lines[item.lock][0] == item_id

    def _offer_first(self, lock: str) -> None:
        if lock in self._busy:
            return
        if line := self._lines.get(lock):
            self._offer(self._waiting[line[0]])
        else:
            self._lines.pop(lock, None)

    def _offer(self, item: Item) -> None:
        heappush(self._ready.setdefault(item.queue, []), item.id)
