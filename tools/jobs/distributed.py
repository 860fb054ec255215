"""Jobs of many processes, in PostgreSQL, delivered by procrastinate.

A worker takes a job for as long as it tells the server that it lives; when it has been silent for a lease, others
give its jobs back, and nothing that it says of them afterwards counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import psycopg
from procrastinate import App, JobContext, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import DeleteJobCondition
from procrastinate.jobs import Job as Row
from procrastinate.manager import JobManager
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.worker import Worker
from sqlalchemy import Connection, bindparam, text

from policies.types import JSON
from tools.jobs.manager import AT_ONCE, PAUSE_SECONDS, PatientManager
from tools.jobs.ports import Handler, Job
from tools.jobs.reaper import reap
from tools.jobs.retries import note_failure, wait_before
from tools.storage.database import Database
from tools.storage.postgres import KEEPALIVE, conninfo
from tools.storage.store import Tx

log = logging.getLogger("handrail.jobs")
NAME = "handrail"
POLL_SECONDS = 1.0
SETTLE_SECONDS = 0.05
CONNECT_SECONDS = 5
CONNECTIONS = 4
LEASES_TO_RESTART = 4
LEAVE_SECONDS = 5.0

_HOLDS = text(
    "select exists (select 1 from procrastinate_jobs where lock = :held and status in ('todo', 'doing'))"
).bindparams(bindparam("held"))
# Shared, so that no worker takes the job before this transaction is seen.
_KEEP_WAITING = text(
    "select id from procrastinate_jobs where queueing_lock = :key and status = 'todo' for share"
).bindparams(bindparam("key"))
_COUNT = text("""
    select count(*) filter (where status = 'todo' and coalesce(scheduled_at <= now(), true)) as waiting,
           count(*) filter (where status = 'todo' and scheduled_at > now()) as delayed,
           count(*) filter (where status = 'doing') as working
    from procrastinate_jobs
""")


class _CutOff(Exception):
    """This worker ends, and the job is given back."""


class _Always(BaseRetryStrategy):
    """Every job is tried until it is done: at once if it was cut off, else later and later."""

    def get_retry_decision(self, *, exception: BaseException, job: Row) -> RetryDecision:
        if isinstance(exception, Exception) and not isinstance(exception, _CutOff):
            return RetryDecision(retry_in={"seconds": wait_before(job.attempts + 1)})
        return RetryDecision(retry_at=AT_ONCE)


class DistributedJobs:
    """Jobs in procrastinate's tables, which ``tools.jobs.schema`` makes.

    ``lease`` is how many seconds a process may be silent before others do its jobs; ``database`` is what counts
    are read from, and ``url`` where the same rows are, for connections that workers keep.
    """

    def __init__(self, url: str, database: Database, *, lease: float) -> None:
        self._conninfo = conninfo(url)
        self._database = database
        self._lease = lease
        # Never opened: it only speaks on connections that it is given.
        self._manager = JobManager(SyncPsycopgConnector())
        self._left: set[int] = set()
        _keep_arguments_out_of_logs()

    def enqueue(self, tx: Tx, job: Job) -> None:
        """Promise a job; see ``Jobs``."""
        if job.dedupe is None:
            self._insert(tx.connection, job)
            return
        while True:
            try:
                with tx.connection.begin_nested():
                    self._insert(tx.connection, job)
                return
            except AlreadyEnqueued:
                # It must see what this transaction wrote; if it has begun meanwhile, it may not.
                if tx.connection.execute(_KEEP_WAITING, {"key": job.dedupe}).first() is not None:
                    return

    def _insert(self, connection: Connection, job: Job) -> None:
        row = Row(
            queue=job.queue,
            lock=job.lock,
            queueing_lock=job.dedupe,
            task_name=job.task,
            task_kwargs={"args": job.args},
            scheduled_at=job.run_at,
        )
        self._manager.defer_job(row, connection=connection.connection.driver_connection)

    def holds(self, tx: Tx, lock: str) -> bool:
        """Whether a job of this lock waits or is at work."""
        return bool(tx.connection.execute(_HOLDS, {"held": lock}).scalar_one())

    async def work(
        self,
        handlers: Mapping[str, Handler],
        *,
        queues: Sequence[str] | None,
        concurrency: int,
        stop: anyio.Event,
        drain: float,
    ) -> None:
        """Deliver jobs until ``stop`` is set; see ``Jobs``. What ends without that is begun anew."""
        away = False
        while not stop.is_set():
            try:
                async with self._connected() as connector:
                    away = False
                    shift = _Shift(connector, handlers, queues, concurrency, drain, self._lease, self._left)
                    await shift.run(stop)
            except (ConnectorException, psycopg.Error) as error:
                if not away:
                    cause = type(error.__cause__ or error).__name__
                    log.warning("no jobs are done until the database answers: %s", cause)
                away = True
            except Exception:
                log.exception("the work on jobs ended unforeseen and begins anew")
            if not stop.is_set():
                with anyio.move_on_after(PAUSE_SECONDS):
                    await stop.wait()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[PsycopgConnector]:
        settings: dict[str, Any] = {"application_name": NAME, "connect_timeout": CONNECT_SECONDS, **KEEPALIVE}
        # A pool waits long for a server that is away; this does not.
        await (await psycopg.AsyncConnection.connect(self._conninfo, **settings)).close()
        connector = PsycopgConnector(
            conninfo=self._conninfo,
            kwargs=settings,
            configure=_one_statement_at_a_time,
            min_size=1,
            max_size=CONNECTIONS,
            timeout=CONNECT_SECONDS,
        )
        try:
            await connector.open_async()
            yield connector
        finally:
            with anyio.CancelScope(shield=True):
                await connector.close_async()

    async def settled(self) -> None:
        """Wait until no job that is due waits or is at work; one that waits for its next try is not due."""
        while True:
            found = await self.counts()
            if not found["waiting"] and not found["working"]:
                return
            await anyio.sleep(SETTLE_SECONDS)

    async def counts(self) -> JSON:
        """Return how many jobs of all processes wait, are delayed and are at work; see ``Jobs``."""
        return await self._database.read(lambda connection: dict(connection.execute(_COUNT).mappings().one()))


class _Shift:
    """One registration of a worker, from its first sign of life to its last."""

    def __init__(
        self,
        connector: PsycopgConnector,
        handlers: Mapping[str, Handler],
        queues: Sequence[str] | None,
        concurrency: int,
        drain: float,
        lease: float,
        left: set[int],
    ) -> None:
        self._lease = lease
        self._left = left
        self._calls: set[anyio.CancelScope] = set()
        self._manager = PatientManager(connector, lease)
        app = App(connector=connector)
        app.job_manager = self._manager
        for name, handler in handlers.items():
            app.task(name=name, retry=_Always(), pass_context=True)(self._calling(handler))
        # Typed in parts only.
        self._worker: Any = Worker(
            app,
            queues=queues,
            name=NAME,
            concurrency=concurrency,
            fetch_job_polling_interval=POLL_SECONDS,
            shutdown_graceful_timeout=drain,
            delete_jobs=DeleteJobCondition.SUCCESSFUL,
            install_signal_handlers=False,
            update_heartbeat_interval=lease / 3,
            stalled_worker_timeout=lease,
        )

    def _calling(self, handler: Handler) -> Callable[[JobContext, JSON], Coroutine[Any, Any, None]]:
        async def call(context: JobContext, args: JSON) -> None:
            with anyio.CancelScope() as scope:
                self._calls.add(scope)
                try:
                    await handler(args)
                except Exception as error:
                    note_failure(context.job.task_name, context.job.id, error)
                    raise
                finally:
                    self._calls.discard(scope)
            if scope.cancelled_caught:
                raise _CutOff

        return call

    async def run(self, stop: anyio.Event) -> None:
        """Work until ``stop`` is set, or until this worker is given up by others or does not get through."""
        for worker_id in list(self._left):
            await self._manager.unregister_worker(worker_id)
            self._left.discard(worker_id)
        failure: Exception | None = None
        try:
            async with anyio.create_task_group() as chores:
                # Not cancelled from outside: procrastinate wants to be asked to stop, once.
                with anyio.CancelScope(shield=True) as running:
                    chores.start_soon(self._stop_at, stop, running)
                    chores.start_soon(self._stop_when_pruned)
                    chores.start_soon(self._restart_when_silent, running)
                    chores.start_soon(self._tend)
                    try:
                        await self._worker.run()
                    except Exception as error:
                        failure = error
                chores.cancel_scope.cancel()
        finally:
            if self._worker.worker_id is not None:
                self._left.add(self._worker.worker_id)
        if failure is not None:
            raise failure

    async def _stop_at(self, stop: anyio.Event, running: anyio.CancelScope) -> None:
        try:
            await stop.wait()
            self._worker.stop()
            await anyio.sleep_forever()
        finally:
            # The caller was cancelled (or all is over): nothing is waited for, but jobs are given back.
            running.deadline = anyio.current_time() + LEAVE_SECONDS
            self._leave_now()

    def _leave_now(self) -> None:
        self._worker.shutdown_graceful_timeout = 0
        self._worker.stop()
        for scope in list(self._calls):
            scope.cancel()

    async def _stop_when_pruned(self) -> None:
        await self._manager.pruned.wait()
        log.warning("this worker was silent for long and was given up by others; it begins anew")
        self._worker.stop()

    async def _restart_when_silent(self, running: anyio.CancelScope) -> None:
        silent = 0.0
        while silent < LEASES_TO_RESTART * self._lease:
            await anyio.sleep(self._lease / 2)
            silent = time.monotonic() - self._manager.beat
        log.error("this worker has not reached the database for %.0f s; it begins anew", silent)
        self._leave_now()
        await anyio.sleep(2 * self._lease)
        running.cancel()

    async def _tend(self) -> None:
        """Tell that this worker lives, while it drains too, and give back what nobody works on any more."""
        suspects: frozenset[int] = frozenset()
        while True:
            # Not broken off in the middle of a statement, which would cost its connection.
            with anyio.move_on_after(self._lease, shield=True):
                suspects = await self._tend_once(suspects)
            await anyio.sleep(self._lease / 3)

    async def _tend_once(self, suspects: frozenset[int]) -> frozenset[int]:
        worker_id: int | None = self._worker.worker_id
        try:
            if worker_id is not None:
                await self._manager.update_heartbeat(worker_id)
            return await reap(self._manager, worker_id, suspects, self._lease)
        except (ConnectorException, psycopg.Error) as error:
            self._manager.note_away(error)
            return suspects


async def _one_statement_at_a_time(connection: psycopg.AsyncConnection) -> None:
    # A process that stops between a statement and its commit would keep the job's row locked, from others too.
    await connection.set_autocommit(True)


class _NoJobs(logging.Filter):
    """Drops what has a job in it: its arguments are not for logs. Failures are told by us, without."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not hasattr(record, "job")


def _keep_arguments_out_of_logs() -> None:
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    for name in ("procrastinate.worker", f"procrastinate.worker.{NAME}"):
        logger = logging.getLogger(name)
        if not any(isinstance(each, _NoJobs) for each in logger.filters):
            logger.addFilter(_NoJobs())
