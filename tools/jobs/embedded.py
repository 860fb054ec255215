"""Jobs of one process, in a table of its own SQLite file.

One process owns the data folder, so there are no leases: a row is a job that is not done yet. A job goes from its
transaction to whoever works through memory; the table is read when work begins, for delayed jobs, and once a
second for whatever else was missed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice

import anyio
from anyio.abc import TaskGroup
from sqlalchemy import Connection, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from policies.errors import Unavailable
from policies.types import JSON
from tools.clock import Clock
from tools.jobs.lines import Item, Lines
from tools.jobs.ports import Handler, Job
from tools.jobs.retries import note_failure, wait_before
from tools.storage.database import Database
from tools.storage.store import Tx, stamp
from tools.storage.tables import job as jobs_table

log = logging.getLogger("handrail.jobs")
POLL_SECONDS = 1.0
SWEEP_SECONDS = 0.25
# A clock that stands still must not turn waiting for a time into a busy loop.
SHORTEST_SECONDS = 0.01
PAGE = 200

_j = jobs_table.c
_DUE = or_(_j.run_at.is_(None), _j.run_at <= bindparam("now"))
_INSERT = insert(jobs_table).on_conflict_do_nothing(index_elements=[_j.dedupe]).returning(_j.id)
_OF_LOCK = select(_j.id).where(_j.lock == bindparam("held"))
# Sorted afterwards: asked for an order, SQLite would walk the whole table.
_DUE_IDS = select(_j.id).where(_DUE)
_NEXT = select(func.min(_j.run_at)).where(_j.run_at > bindparam("now"))
_ROWS = (
    select(_j.id, _j.queue, _j.task, _j.args, _j.lock, _j.dedupe, _j.attempts)
    .where(_j.id.in_(bindparam("ids", expanding=True)))
    .order_by(_j.id)
)
_COUNT = select(func.count(), func.count().filter(_j.run_at > bindparam("now"))).select_from(jobs_table)
_BEGIN = update(jobs_table).where(_j.id == bindparam("begun")).values(dedupe=None)
_NOTE_TRIES = update(jobs_table).where(_j.id == bindparam("failed")).values(attempts=bindparam("tries"))
_DELETE = delete(jobs_table).where(_j.id == bindparam("done"))


class _Bell:
    """Wakes one task, however often it was rung meanwhile."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, seconds: float | None = None) -> None:
        with anyio.move_on_after(seconds):
            await self._rung.wait()
        self._rung = anyio.Event()


@dataclass(eq=False)
class _Crew:
    """One call of ``work``."""

    handlers: Mapping[str, Handler]
    queues: Sequence[str] | None
    places: int
    working: int = 0
    bell: _Bell = field(default_factory=_Bell)
    reading: _Bell = field(default_factory=_Bell)


class EmbeddedJobs:
    """Jobs in the table ``job``; several calls of ``work`` may share them.

    What is done is deleted in batches a little later, so a job costs its transaction nothing at its end; a process
    that is killed in between does it again.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lines = Lines()
        self._known: set[int] = set()
        """Every job that is in memory, until its row is deleted: what the table need not give again."""
        self._done: set[int] = set()
        self._tries: dict[int, int] = {}
        self._resting = 0
        self._following: str | None = None
        """The next time for which a job waits, as of the last look."""
        self._crews: list[_Crew] = []
        # What is read and what is deleted must not cross: a row read before and deleted after would come again.
        self._table = anyio.Lock()

    def enqueue(self, tx: Tx, job: Job) -> None:
        """Promise a job; see ``Jobs``."""
        row: JSON = {name: getattr(job, name) for name in ("queue", "task", "args", "lock", "dedupe")}
        times = {"run_at": job.run_at and stamp(job.run_at), "created_at": tx.now()}
        made = tx.connection.execute(_INSERT, {**row, **times, "attempts": 0}).scalar_one_or_none()
        if made is None:
            return
        if job.run_at is None or job.run_at <= self._clock.now():
            tx.after.append(partial(self._take_up, Item(id=made, **row)))
        else:
            tx.after.append(partial(self._look_again, stamp(job.run_at)))

    def holds(self, tx: Tx, lock: str) -> bool:
        """Whether a job of this lock waits or is at work."""
        # Taken before the rows are read: what ends meanwhile was at work.
        done = set(self._done)
        return any(each not in done for each in tx.connection.execute(_OF_LOCK, {"held": lock}).scalars())

    async def work(
        self,
        handlers: Mapping[str, Handler],
        *,
        queues: Sequence[str] | None,
        concurrency: int,
        stop: anyio.Event,
        drain: float,
    ) -> None:
        """Deliver jobs until ``stop`` is set; see ``Jobs``. What is cut off waits for the next call."""
        crew = _Crew(handlers, queues, concurrency)
        self._crews.append(crew)
        try:
            async with anyio.create_task_group() as chores:
                chores.start_soon(_ring_at, stop, crew.bell)
                chores.start_soon(self._keep_sweeping)
                # What an earlier process left comes before what is promised from now on.
                await self._read_first(stop)
                chores.start_soon(self._keep_reading, crew)
                async with anyio.create_task_group() as group:
                    await self._deliver(crew, group, stop)
                    with anyio.move_on_after(drain):
                        while crew.working:
                            await crew.bell.wait()
                    group.cancel_scope.cancel()
                chores.cancel_scope.cancel()
        finally:
            self._crews.remove(crew)
            with anyio.CancelScope(shield=True):
                await self._sweep()

    async def settled(self) -> None:
        """Wait until no job that is due waits or is at work; one that waits for its next try is not due."""
        while True:
            found = await self.counts()
            if not found["waiting"] and not found["working"]:
                return
            await anyio.sleep(SHORTEST_SECONDS)

    async def counts(self) -> JSON:
        """Return how many jobs wait, are delayed and are at work; see ``Jobs``."""
        async with self._table:
            done, working = len(self._done), sum(crew.working for crew in self._crews)
            resting = self._resting
            rows, delayed = await self._database.read(self._count)
        waiting = max(0, rows - delayed - done - working - resting)
        return {"waiting": waiting, "delayed": delayed + resting, "working": working}

    def _count(self, connection: Connection) -> tuple[int, int]:
        rows, delayed = connection.execute(_COUNT, {"now": stamp(self._clock.now())}).one()
        return rows, delayed

    def _take_up(self, item: Item) -> None:
        if item.id not in self._known:
            self._known.add(item.id)
            self._lines.add(item)
            self._wake()

    def _wake(self) -> None:
        for crew in self._crews:
            crew.bell.ring()

    def _look_again(self, at: str) -> None:
        """Look at the table anew if a time is before the one that is waited for."""
        if self._following is not None and self._following <= at:
            return
        for crew in self._crews:
            crew.reading.ring()

    async def _deliver(self, crew: _Crew, group: TaskGroup, stop: anyio.Event) -> None:
        while not stop.is_set():
            while crew.working < crew.places and (item := self._lines.take(crew.queues)) is not None:
                crew.working += 1
                group.start_soon(self._do, crew, group, item)
            await crew.bell.wait()

    async def _do(self, crew: _Crew, group: TaskGroup, item: Item) -> None:
        try:
            await self._call(crew, item)
        except Exception as error:
            note_failure(item.task, item.id, error)
            item.attempts += 1
            self._tries[item.id] = item.attempts
            self._resting += 1
            group.start_soon(self._rest, item)
        except BaseException:
            self._lines.put_back(item)
            raise
        else:
            self._done.add(item.id)
            self._lines.release(item)
        finally:
            crew.working -= 1
            self._wake()

    async def _call(self, crew: _Crew, item: Item) -> None:
        if item.dedupe is not None:
            # From here on another job with this key is taken: this one may have looked already.
            begun = {"begun": item.id}
            await self._database.write(lambda connection: connection.execute(_BEGIN, begun), durable=False)
            item.dedupe = None
        await crew.handlers[item.task](item.args)

    async def _rest(self, item: Item) -> None:
        """Keep a failed job, and with it its lock, until its next try."""
        try:
            await anyio.sleep(wait_before(item.attempts))
        finally:
            self._resting -= 1
            self._lines.put_back(item)
            self._wake()

    async def _read_first(self, stop: anyio.Event) -> None:
        while not stop.is_set():
            try:
                await self._read_due()
                return
            except Unavailable as error:
                log.warning("jobs can't be read: %s", error.message)
            with anyio.move_on_after(POLL_SECONDS):
                await stop.wait()

    async def _keep_reading(self, crew: _Crew) -> None:
        while True:
            pause = POLL_SECONDS
            try:
                pause = await self._read_due()
            except Unavailable as error:
                log.warning("jobs can't be read: %s", error.message)
            await crew.reading.wait(pause)

    async def _read_due(self) -> float:
        """Take up what is due and not in memory; returns the seconds until it is worth while to look again."""
        async with self._table:
            due, self._following = await self._database.read(self._look)
            new = (each for each in due if each not in self._known)
            while page := list(islice(new, PAGE)):
                for item in await self._database.read(partial(_items, page)):
                    self._take_up(item)
        if self._following is None:
            return POLL_SECONDS
        seconds = (datetime.fromisoformat(self._following) - self._clock.now()).total_seconds()
        return min(POLL_SECONDS, max(SHORTEST_SECONDS, seconds))

    def _look(self, connection: Connection) -> tuple[list[int], str | None]:
        now = {"now": stamp(self._clock.now())}
        following: str | None = connection.execute(_NEXT, now).scalar()
        return sorted(connection.execute(_DUE_IDS, now).scalars()), following

    async def _keep_sweeping(self) -> None:
        while True:
            await anyio.sleep(SWEEP_SECONDS)
            with anyio.CancelScope(shield=True):
                await self._sweep()

    async def _sweep(self) -> None:
        """Delete the rows of what is done, and write down how often the others failed."""
        async with self._table:
            done, tries = frozenset(self._done), dict(self._tries)
            if not done and not tries:
                return
            try:
                await self._database.write(lambda connection: _write(connection, done, tries), durable=False)
            except Unavailable as error:
                log.warning("finished jobs can't be deleted yet: %s", error.message)
                return
            self._done -= done
            self._known -= done
            for job_id, count in tries.items():
                if self._tries[job_id] == count:
                    del self._tries[job_id]


def _items(ids: Sequence[int], connection: Connection) -> list[Item]:
    return [Item(**row) for row in connection.execute(_ROWS, {"ids": ids}).mappings()]


def _write(connection: Connection, done: frozenset[int], tries: Mapping[int, int]) -> None:
    if tries:
        connection.execute(_NOTE_TRIES, [{"failed": each, "tries": count} for each, count in tries.items()])
    if done:
        connection.execute(_DELETE, [{"done": each} for each in done])


async def _ring_at(stop: anyio.Event, bell: _Bell) -> None:
    await stop.wait()
    bell.ring()
