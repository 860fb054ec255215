"""How a worker speaks with procrastinate's tables: patient when the server is away, fenced when it was given up.

procrastinate's own worker ends when a statement fails, and acknowledges a job by its id alone. This one waits for
the server, and acknowledges a job only while it is its own: after a pause of this process others may have it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, LiteralString

import anyio
from procrastinate.connector import BaseConnector
from procrastinate.exceptions import ConnectorException, NoResult
from procrastinate.jobs import Job, Notification, Status
from procrastinate.manager import JobManager, NotificationCallback

log = logging.getLogger("handrail.jobs")
AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)
"""A time that has come whatever this machine's clock says."""
PAUSE_SECONDS = 0.5

_BEAT = "update procrastinate_workers set last_heartbeat = now() where id = %(worker_id)s returning id"
_OWN: LiteralString = """
    id = %(job_id)s and status = %(was)s::procrastinate_job_status and attempts = %(attempts)s
    and (worker_id is null or worker_id = %(worker_id)s::bigint)
"""
# A function in a select list runs before the row is locked; behind a materialized expression it runs after.
_HELD: LiteralString = (
    f"with held as materialized (select id from procrastinate_jobs where {_OWN} for update) select id, "
)
_FINISH: LiteralString = (
    _HELD + "procrastinate_finish_job_v1(id, %(status)s::procrastinate_job_status, %(delete_job)s)::text from held"
)
_RETRY: LiteralString = (
    _HELD
    + """procrastinate_retry_job_v2(
    id, %(retry_at)s::timestamptz, %(priority)s::integer, %(queue)s::varchar, %(lock)s::varchar
)::text from held"""
)
# Its key may meanwhile belong to another job that waits, and two that wait may not share one.
_FREE_KEY: LiteralString = f"update procrastinate_jobs set queueing_lock = null where {_OWN} returning id"


class PatientManager(JobManager):
    """procrastinate's tables as one worker sees them."""

    def __init__(self, connector: BaseConnector, lease: float) -> None:
        super().__init__(connector)
        self.beat = time.monotonic()
        """When the server last heard of this worker."""
        self.held: set[int] = set()
        """The jobs that this worker has taken and not acknowledged."""
        self.pruned = anyio.Event()
        """Set when others have removed this worker from the tables."""
        self._lease = lease
        self._away = False
        self._rung = 0
        self._listener: NotificationCallback | None = None

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Take a job; a server that is away has none."""
        rung = -1
        job: Job | None = None
        # The worker forgets what it is told while this looks, so a look that missed something is repeated.
        while job is None and rung != self._rung:
            rung = self._rung
            try:
                job = await super().fetch_job(queues=queues, worker_id=worker_id)
            except ConnectorException as error:
                self.note_away(error)
                return None
        if job is not None and job.id is not None:
            self.held.add(job.id)
        return job

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Acknowledge a job that has ended, and look at once for the next of its lock."""
        if not await self._acknowledge(job, _FINISH, status=status.value, delete_job=delete_job):
            _note_lost(job)
        if job.lock is not None:
            await self.wake()

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Let a job wait again; without a time it may begin at once."""
        new = {"priority": priority, "queue": queue, "lock": lock}
        if not await self.give_back(job, retry_at, **new):
            _note_lost(job)

    async def give_back(self, job: Job, retry_at: datetime | None, **new: Any) -> bool:
        """Let a job wait that nobody works on any more; returns whether it still was as ``job`` says."""
        if job.queueing_lock is not None:
            await self._acknowledge(job, _FREE_KEY)
        new = {"priority": None, "queue": None, "lock": None, **new}
        given = await self._acknowledge(job, _RETRY, retry_at=retry_at or AT_ONCE, **new)
        if retry_at is None:
            await self.wake()
        return given

    async def update_heartbeat(self, worker_id: int) -> None:
        """Tell the server that this worker lives."""
        try:
            await self.connector.execute_query_one_async(query=_BEAT, worker_id=worker_id)
        except NoResult:
            self.pruned.set()
        except ConnectorException as error:
            self.note_away(error)
        else:
            self.beat = time.monotonic()
            if self._away:
                self._away = False
                log.warning("the database answers again")

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """Pass on that jobs came, for ever; while the line is down they are found by looking."""
        self._listener = on_notification

        async def ring(*, channel: str, notification: Notification) -> None:
            self._rung += 1
            await on_notification(channel=channel, notification=notification)

        while True:
            try:
                await super().listen_for_jobs(on_notification=ring, queues=queues)
            except ConnectorException as error:
                self.note_away(error)
            await anyio.sleep(PAUSE_SECONDS)

    async def wake(self) -> None:
        """Let the worker look for jobs now."""
        self._rung += 1
        if self._listener is not None:
            await self._listener(channel="", notification={"type": "job_inserted", "job_id": 0})

    def note_away(self, error: Exception) -> None:
        """Write into the log, once, that the server does not answer."""
        if not self._away:
            self._away = True
            log.warning(
                "the database does not answer; jobs wait for it: %s", type(error.__cause__ or error).__name__
            )

    async def _acknowledge(self, job: Job, query: LiteralString, **values: Any) -> bool:
        """Change a job that is still as ``job`` says; raises ``ConnectorException`` when the lease is over."""
        own = {"job_id": job.id, "was": job.status, "attempts": job.attempts, "worker_id": job.worker_id}
        given_up = time.monotonic() + self._lease
        try:
            while True:
                try:
                    return bool(await self.connector.execute_query_all_async(query=query, **own, **values))
                except ConnectorException as error:
                    self.note_away(error)
                    if time.monotonic() > given_up:
                        raise
                await anyio.sleep(PAUSE_SECONDS)
        finally:
            # If it failed, the worker finds a job of its own that it does not hold, and lets it wait again.
            self.held.discard(job.id or 0)


def _note_lost(job: Job) -> None:
    log.warning("the job %s (%s) was given to another worker meanwhile", job.id, job.task_name)
