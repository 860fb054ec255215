"""What a process does beside answering calls: deliver jobs, listen for other processes, keep house."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio

from graphs.ahead import judge_ahead
from graphs.backend import Backend
from graphs.housekeeping import keep_house
from graphs.hub import Hub
from graphs.segments import Segments
from graphs.service import Service
from graphs.settings import Settings
from graphs.team import Team
from graphs.work import (
    EXPIRE,
    KEEP_HOUSE,
    QUEUES,
    SEGMENT,
    WORKFLOW,
    WORKFLOWS,
    conversation_lock,
    house_job,
    segment_job,
)
from graphs.workflows.segments import WorkflowSegments
from policies.errors import HandrailError
from policies.types import JSON
from tools.knowledge.base import Knowledge
from tools.storage import runs
from tools.storage.audit.keys import LedgerKey
from tools.storage.doorbell import listen
from tools.storage.runs import Pending
from tools.storage.store import Ring, Store, Tx

log = logging.getLogger("handrail")
HOUSE_SECONDS = 600.0
REFRESH_SECONDS = 2.0


def hear(hub: Hub, segments: Segments, workflows: WorkflowSegments, ring: Ring) -> None:
    """Act on a ring, this process's own or another's."""
    if ring.kind == "event":
        hub.heard(ring.name, ring.number)
    elif ring.kind == "stop":
        segments.stop(ring.name)
        workflows.stop(ring.name)


@dataclass(frozen=True, kw_only=True)
class Running:
    """The tasks of one process."""

    settings: Settings
    backend: Backend
    service: Service
    segments: Segments
    workflows: WorkflowSegments
    knowledge: Knowledge
    team: Team
    """Whose guards look at passages before they are asked for."""
    ledger_key: LedgerKey

    @asynccontextmanager
    async def started(self, *, works: bool, queues: Sequence[str] | None) -> AsyncIterator[None]:
        """Run them while the context lasts; then let the jobs that are at work come to their end."""
        stop = anyio.Event()
        async with anyio.create_task_group() as side:
            if self.backend.line is not None:
                side.start_soon(self._listen, self.backend.line)
                side.start_soon(self._refresh_index)
            if works:
                side.start_soon(self._keep_house)
                side.start_soon(judge_ahead, self.team, self.knowledge.index)
            async with anyio.create_task_group() as workers:
                if works:
                    workers.start_soon(self._work, queues, stop)
                try:
                    yield
                finally:
                    stop.set()
            side.cancel_scope.cancel()

    async def _work(self, queues: Sequence[str] | None, stop: anyio.Event) -> None:
        handlers = {
            SEGMENT: self.segments.work,
            WORKFLOW: self.workflows.work,
            EXPIRE: self.service.expire_review,
            KEEP_HOUSE: self._clear_away,
        }
        work = partial(self.backend.jobs.work, handlers, stop=stop, drain=self.settings.drain_seconds)
        async with anyio.create_task_group() as crews:
            for named, places in self._crews(queues):
                crews.start_soon(partial(work, queues=named, concurrency=places))

    def _crews(self, queues: Sequence[str] | None) -> list[tuple[Sequence[str] | None, int]]:
        """Return which queues are worked on together, and by how many.

        Where there are workflows they have places of their own, so that no customer waits behind a batch.
        """
        places = self.settings.concurrency
        others = [name for name in queues or QUEUES if name != WORKFLOWS]
        if not self.workflows.workflows or not others or (queues and WORKFLOWS not in queues):
            return [(queues, places)]
        return [(others, places), ([WORKFLOWS], max(1, places // 2))]

    async def _listen(self, line: str) -> None:
        await listen(line, self.service.store.heard, missed=self.service.hub.missed)

    async def _refresh_index(self) -> None:
        """Take over the index version that another process has made active."""
        while True:
            await anyio.sleep(REFRESH_SECONDS)
            try:
                await self.knowledge.refresh()
            except HandrailError as error:
                log.warning("the index is not looked at: %s", error)
            except Exception:
                log.exception("the index is not looked at")

    async def _keep_house(self) -> None:
        """Promise, now and from time to time, that house is kept; one process of all does it."""
        workspace = self.service.store.in_workspace(self.settings.workspace)
        while True:
            try:
                await workspace.write(lambda tx: self.backend.jobs.enqueue(tx, house_job()), durable=False)
            except HandrailError as error:
                log.warning("house-keeping waits: %s", error)
            except Exception:
                log.exception("house-keeping waits")
            await anyio.sleep(HOUSE_SECONDS)

    async def _clear_away(self, _args: JSON) -> None:
        await take_up_orphans(self.service.store, self.segments)
        await keep_house(
            self.service.store,
            self.segments,
            event_days=self.settings.event_days,
            ledger_key=self.ledger_key,
            assistant=self.service.assistant,
        )


async def take_up_orphans(store: Store, segments: Segments) -> int:
    """Promise a job for every run that was accepted, has not ended and has none; return how many there were.

    None is expected. A worker that was taken for dead while it lived may delete the job that another has by now.
    """
    taken = 0
    for pending in await store.in_all_workspaces(runs.pending):
        workspace = store.in_workspace(pending.workspace_id)
        taken += await workspace.write(partial(_promise, segments=segments, pending=pending))
    return taken


def _promise(tx: Tx, segments: Segments, pending: Pending) -> bool:
    if segments.jobs.holds(tx, conversation_lock(pending)):
        return False
    segments.jobs.enqueue(tx, segment_job(pending))
    return True
