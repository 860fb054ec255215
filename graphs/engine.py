"""The embedded engine: runs segments in this process, one at a time per conversation.

The rows are the queue: whatever is queued or running in the database when the engine starts is worked on again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from policies.errors import Unavailable
from tools.storage.runs import Pending

log = logging.getLogger("handrail.engine")
RETRY_SECONDS = 1.0
MOST_FAILURES = 3
Work = Callable[[Pending], Awaitable[None]]


class Engine:
    """Delivers segments to ``work`` inside the task group of whoever assembled it."""

    def __init__(self, tasks: TaskGroup, work: Work, *, concurrency: int) -> None:
        self._tasks = tasks
        self._work = work
        self._limit = anyio.CapacityLimiter(concurrency)
        self._waiting: dict[tuple[str, str], deque[Pending]] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._idle = anyio.Event()
        self._idle.set()

    def submit(self, pending: Pending) -> None:
        """Take a run; it starts once the conversation's earlier ones are done, and stands in line once."""
        key = (pending.workspace_id, pending.conversation_id)
        if key in self._waiting:
            if pending not in self._waiting[key]:
                self._waiting[key].append(pending)
            return
        if not self._waiting:
            self._idle = anyio.Event()
        self._waiting[key] = deque([pending])
        self._tasks.start_soon(self._drain, key)

    def cancel(self, run_id: str) -> None:
        """Stop working on a run that has been ended in the database."""
        if scope := self._scopes.get(run_id):
            scope.cancel()

    async def settled(self) -> None:
        """Wait until nothing is left to do."""
        await self._idle.wait()

    async def _drain(self, key: tuple[str, str]) -> None:
        while self._waiting[key]:
            async with self._limit:
                await self._one(self._waiting[key].popleft())
        del self._waiting[key]
        if not self._waiting:
            self._idle.set()

    async def _one(self, pending: Pending) -> None:
        with anyio.CancelScope() as scope:
            self._scopes[pending.run_id] = scope
            try:
                await self._insist(pending)
            finally:
                self._scopes.pop(pending.run_id, None)

    async def _insist(self, pending: Pending) -> None:
        """Work until the store has taken the result; whatever else breaks must not stop other runs."""
        failures = 0
        while True:
            try:
                return await self._work(pending)
            except Unavailable as error:
                log.warning("run %s is tried again: %s", pending.run_id, error)
                await anyio.sleep(RETRY_SECONDS)
            except Exception:
                failures += 1
                log.exception("run %s failed for the %d. time", pending.run_id, failures)
                if failures == MOST_FAILURES:
                    return None
                await anyio.sleep(RETRY_SECONDS)
