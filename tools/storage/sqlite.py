"""Transactions on SQLite: one writer with group commit, readers apart.

A transaction is a plain function of a connection. The writer thread takes all functions that wait, runs each in
a savepoint of one ``BEGIN IMMEDIATE`` transaction and commits once: under load, many turns share one sync to
disk; alone, a write waits for nobody. A function that raises undoes only what it has done itself.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import orjson
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from policies.errors import Unavailable
from tools.metrics import COMMIT_SIZE, WRITE_SECONDS
from tools.storage.database import Database, Work, as_json, named

T = TypeVar("T")

GROUP_LIMIT = 64
SYNC = "handrail_synchronous"
"""Under this name a connection remembers what it was told of waiting for the disk."""
READERS = 4
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=10000",
    "temp_store=MEMORY",
    # What is deleted is written over: people are forgotten here.
    "secure_delete=ON",
)


@dataclass(frozen=True)
class _Job:
    work: Work
    durable: bool
    result: Future[Any] = field(default_factory=Future)


class SqliteDatabase:
    """The one door to a SQLite file; made by ``open_sqlite``."""

    notifies = False

    def __init__(self, writer: Engine, reader: Engine) -> None:
        self._writer = writer
        self._reader = reader
        self._closed = False
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._readers = anyio.CapacityLimiter(READERS)
        self._thread = threading.Thread(target=self._run, name="handrail-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run ``work`` in a write transaction, in the writer's thread; see ``Database.write``."""
        if self._closed:
            raise Unavailable("The database is closed.", remedy="Ask again once the server is back.")
        job = _Job(work, durable)
        self._jobs.put(job)
        with WRITE_SECONDS.time():
            result: T = await asyncio.wrap_future(job.result)
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a reading connection, in a thread; it sees what was committed before."""
        return await anyio.to_thread.run_sync(self._read, work, limiter=self._readers)

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._reader.connect() as connection:
                return work(connection)
        except DBAPIError as error:
            raise named(error) from error

    async def close(self) -> None:
        """Finish the writes that wait, then close; what is written later is ``Unavailable``."""
        self._closed = True
        self._jobs.put(None)
        await anyio.to_thread.run_sync(self._thread.join)
        self._writer.dispose()
        self._reader.dispose()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            group = [job]
            stop = False
            while len(group) < GROUP_LIMIT and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    stop = True
                    break
                group.append(following)
            self._commit([each for each in group if each.result.set_running_or_notify_cancel()])
            if stop:
                return

    def _commit(self, group: list[_Job]) -> None:
        COMMIT_SIZE.observe(len(group))
        done: list[tuple[_Job, Any, BaseException | None]] = []
        sync = "FULL" if any(job.durable for job in group) else "NORMAL"
        try:
            with self._writer.connect() as connection:
                if connection.info.get(SYNC) != sync:
                    # Outside a transaction: SQLite does not change it inside one.
                    connection.connection.cursor().execute(f"PRAGMA synchronous={sync}")
                    connection.info[SYNC] = sync
                with connection.begin():
                    # What is alone needs no savepoint: it fails with its transaction.
                    attempt = _attempt if len(group) > 1 else _alone
                    done = [attempt(connection, job) for job in group]
        except Exception as error:
            failure = named(error)
            done = [(job, None, failure) for job in group]
        for job, value, problem in done:
            if problem is None:
                job.result.set_result(value)
            else:
                job.result.set_exception(problem)


def _alone(connection: Connection, job: _Job) -> tuple[_Job, Any, BaseException | None]:
    return job, job.work(connection), None


def _attempt(connection: Connection, job: _Job) -> tuple[_Job, Any, BaseException | None]:
    savepoint = connection.begin_nested()
    try:
        value = job.work(connection)
        savepoint.commit()
    except Exception as error:
        try:
            savepoint.rollback()
        except DBAPIError:
            # A full disk has undone the whole transaction, this savepoint with it.
            raise error from None
        return job, None, named(error)
    return job, value, None


def sqlite_engine(path: Path, *, immediate: bool) -> Engine:
    """Make an engine for a SQLite file in WAL mode that begins transactions itself.

    The library's own defaults begin late and upgrade read locks, which loses updates silently.
    """
    engine = create_engine(
        f"sqlite:///{path}",
        json_serializer=as_json,
        json_deserializer=orjson.loads,
        # Errors are logged, and rows are not for logs.
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": 10},
        pool_size=1 if immediate else READERS,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


@asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[Database]:
    """Open a SQLite file, bring its tables up to date and close it in the end."""
    from tools.storage.migrations import upgrade

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = sqlite_engine(path, immediate=True)
    await anyio.to_thread.run_sync(upgrade, writer)
    database = SqliteDatabase(writer, sqlite_engine(path, immediate=False))
    try:
        yield database
    finally:
        with anyio.CancelScope(shield=True):
            await database.close()
