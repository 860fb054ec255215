"""What jobs must hold to, in one process and in many: promised with rows, delivered at least once, in order."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.lowlevel import checkpoint
from anyio.streams.text import TextReceiveStream
from cryptography.fernet import Fernet
from sqlalchemy import select, text

from evals.postgres import Postgres, private_postgres
from policies.errors import ConfigError, Unavailable
from policies.types import JSON
from tools.clock import CountedIds, SystemClock
from tools.jobs import distributed, embedded
from tools.jobs.distributed import DistributedJobs
from tools.jobs.embedded import EmbeddedJobs
from tools.jobs.ports import Handler, Job, Jobs
from tools.jobs.retries import wait_before
from tools.jobs.schema import apply_schema, require_schema
from tools.storage import tables
from tools.storage.database import Database, open_database
from tools.storage.migrations import upgrade
from tools.storage.postgres import postgres_engine
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Tx, Workspace

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parent.parent.parent
LEASE = 2.0
NOTHING = {"waiting": 0, "delayed": 0, "working": 0}


@dataclass
class Place:
    """Where jobs are kept, seen by one process."""

    jobs: Jobs
    workspace: Workspace
    next_process: Callable[[], Jobs]
    """Makes what a process has that is started after this one."""
    url: str

    async def enqueue(self, *jobs: Job) -> None:
        def promise(tx: Tx) -> None:
            for each in jobs:
                self.jobs.enqueue(tx, each)

        await self.workspace.write(promise)


def workspace_on(database: Database) -> Workspace:
    sealer = Sealer(Fernet.generate_key())
    store = Store(database=database, clock=SystemClock(), ids=CountedIds(), sealer=sealer, publish=lambda _: None)
    return store.in_workspace("acme")


embedded_alone = pytest.mark.parametrize("place", ["embedded"], indirect=True)
distributed_alone = pytest.mark.parametrize("place", ["distributed"], indirect=True)


@pytest.fixture(name="server", scope="module")
def server_fixture() -> Iterator[Postgres]:
    """Run a server that tests may stop, as long as they start it again."""
    with private_postgres() as server:
        yield server


@pytest.fixture(name="new_database", scope="module")
def new_database_fixture(server: Postgres) -> Callable[[], str]:
    """Return what creates a database with our tables and those of jobs, and returns its URL."""
    engine = postgres_engine(server.create("template"))
    upgrade(engine)
    with engine.begin() as connection:
        apply_schema(connection)
    engine.dispose()
    numbers = count(1)
    return lambda: server.create(f"jobs{next(numbers)}", template="template")


@pytest.fixture(name="place", params=["embedded", "distributed"])
async def place_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Open an empty place for jobs."""
    where: Path | str = tmp_path / "jobs.db"
    if request.param == "distributed":
        where = request.getfixturevalue("new_database")()
    async with open_database(where) as database:

        def process() -> Jobs:
            if isinstance(where, Path):
                return EmbeddedJobs(database, SystemClock())
            return DistributedJobs(where, database, lease=LEASE)

        yield Place(process(), workspace_on(database), process, str(where))


@asynccontextmanager
async def working(
    jobs: Jobs, handlers: Mapping[str, Handler], *, places: int = 4, drain: float = 5.0, queues: Any = None
) -> AsyncIterator[None]:
    """Let someone work until the block ends."""
    stop = anyio.Event()

    async def work() -> None:
        await jobs.work(handlers, queues=queues, concurrency=places, stop=stop, drain=drain)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            try:
                yield
            finally:
                stop.set()


def job(name: str, **more: Any) -> Job:
    return Job(task="note", args={"name": name}, **more)


def the_first_time_hang(notes: Notes) -> Callable[[str], Awaitable[None]]:
    async def doing(_: str) -> None:
        if len(notes.begun) == 1:
            await anyio.sleep_forever()

    return doing


@dataclass
class Notes:
    """Handlers that note what they were called with, and do what a test tells them."""

    begun: list[str]
    ended: list[str]
    doing: Callable[[str], Awaitable[None]] | None = None

    async def note(self, args: JSON) -> None:
        self.begun.append(args["name"])
        if self.doing is not None:
            await self.doing(args["name"])
        self.ended.append(args["name"])

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"note": self.note}

    async def until_begun(self, *names: str) -> None:
        while not set(names) <= set(self.begun):  # noqa: ASYNC110
            await anyio.sleep(0.005)


@pytest.fixture(name="notes")
def notes_fixture() -> Notes:
    """Return empty notes."""
    return Notes([], [])


async def test_a_job_is_delivered_if_and_only_if_its_transaction_commits(place: Place, notes: Notes) -> None:
    def fail(tx: Tx) -> None:
        place.jobs.enqueue(tx, job("undone"))
        raise ZeroDivisionError

    await place.enqueue(job("before work"))
    async with working(place.jobs, notes.handlers):
        await notes.until_begun("before work")
        with pytest.raises(ZeroDivisionError):
            await place.workspace.write(fail)
        await place.enqueue(job("kept"))
        await place.jobs.settled()
        await anyio.sleep(0.1)
    assert notes.ended == ["before work", "kept"]
    assert await place.jobs.counts() == NOTHING


async def test_jobs_of_a_lock_are_done_one_after_the_other_in_order(place: Place, notes: Notes) -> None:
    async def alone(name: str) -> None:
        await anyio.sleep(0.01)
        assert notes.begun[-1] == name

    notes.doing = alone
    queues = ["turns", "upkeep"] * 3
    await place.enqueue(*(job(str(n), lock="a", queue=queue) for n, queue in enumerate(queues)))
    async with working(place.jobs, notes.handlers):
        await place.jobs.settled()
    assert notes.ended == ["0", "1", "2", "3", "4", "5"]


async def test_the_next_of_a_lock_does_not_wait_for_a_poll(
    place: Place, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (embedded, distributed):
        monkeypatch.setattr(module, "POLL_SECONDS", 60.0)
    may_end = anyio.Event()
    notes.doing = lambda _: may_end.wait()
    async with working(place.jobs, notes.handlers):
        await place.enqueue(job("first", lock="a"))
        await notes.until_begun("first")
        await place.enqueue(job("second", lock="a"))
        await anyio.sleep(0.1)
        assert notes.begun == ["first"]
        may_end.set()
        with anyio.fail_after(30):
            await notes.until_begun("second")


async def test_jobs_of_other_locks_are_done_side_by_side_as_far_as_places_go(place: Place, notes: Notes) -> None:
    may_end = anyio.Event()
    notes.doing = lambda _: may_end.wait()
    await place.enqueue(job("1", lock="a"), job("2", lock="b"), job("3", lock="c"))
    async with working(place.jobs, notes.handlers, places=2):
        await notes.until_begun("1", "2")
        await anyio.sleep(0.1)
        assert notes.begun == ["1", "2"]
        assert await place.jobs.counts() == {"waiting": 1, "delayed": 0, "working": 2}
        may_end.set()
        await place.jobs.settled()
    assert notes.ended == ["1", "2", "3"]


async def test_only_the_queues_that_are_asked_for_are_served(place: Place, notes: Notes) -> None:
    await place.enqueue(job("other", queue="upkeep"), job("mine"))
    async with working(place.jobs, notes.handlers, queues=["turns"]):
        await notes.until_begun("mine")
        await anyio.sleep(0.1)
    assert notes.ended == ["mine"]
    assert await place.jobs.counts() == {"waiting": 1, "delayed": 0, "working": 0}


async def test_a_key_takes_one_job_while_it_waits_and_another_once_it_began(place: Place, notes: Notes) -> None:
    may_end = anyio.Event()
    notes.doing = lambda _: may_end.wait()
    await place.enqueue(job("1", dedupe="k"), job("unwanted", dedupe="k"))
    await place.enqueue(job("unwanted", dedupe="k"), job("2", dedupe="other"))
    async with working(place.jobs, notes.handlers):
        await notes.until_begun("1", "2")
        await place.enqueue(job("3", dedupe="k"))
        await notes.until_begun("3")
        may_end.set()
        await place.jobs.settled()
    assert sorted(notes.ended) == ["1", "2", "3"]


async def test_a_delayed_job_is_done_when_its_time_has_come_and_holds_nothing_back(
    place: Place, notes: Notes
) -> None:
    now = SystemClock().now()
    async with working(place.jobs, notes.handlers):
        await place.enqueue(
            job("soon", run_at=now + timedelta(seconds=0.3)),
            job("much later", run_at=now + timedelta(hours=1)),
            job("past", run_at=now - timedelta(hours=1)),
            job("at once", lock="a"),
        )
        await place.jobs.settled()
        assert sorted(notes.ended) == ["at once", "past"]
        assert await place.jobs.counts() == {"waiting": 0, "delayed": 2, "working": 0}
        await notes.until_begun("soon")
        assert timedelta(seconds=0.3) <= SystemClock().now() - now < timedelta(seconds=1.8)


def test_a_delayed_job_takes_no_lock() -> None:
    with pytest.raises(ValueError, match="takes no lock"):
        job("x", lock="a", run_at=SystemClock().now())


async def test_a_job_that_fails_is_tried_again_later_and_holds_back_its_lock_alone(
    place: Place, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail_once(name: str) -> None:
        if notes.begun.count(name) == 1 and name == "secret":
            raise ZeroDivisionError

    notes.doing = fail_once
    caplog.set_level(logging.INFO)
    await place.enqueue(job("secret", lock="a", dedupe="k"), job("after", lock="a"), job("other", lock="b"))
    async with working(place.jobs, notes.handlers):
        await notes.until_begun("secret", "other")
        # Its key is free again; that must not disturb its return.
        await place.enqueue(job("same key", lock="c", dedupe="k"))
        await notes.until_begun("same key")
        await anyio.sleep(0.5)
        assert notes.ended == ["other", "same key"]
        assert await place.jobs.counts() == {"waiting": 1, "delayed": 1, "working": 0}
        await place.jobs.settled()
    assert notes.ended == ["other", "same key", "secret", "after"]
    assert "note" in caplog.text
    assert "secret" not in caplog.text


async def test_a_job_without_a_handler_waits_for_one(place: Place, notes: Notes) -> None:
    await place.enqueue(job("early"), Job(task="known", args={"name": "known"}))
    async with working(place.jobs, {"known": notes.note}):
        await notes.until_begun("known")
        await anyio.sleep(0.1)
    async with working(place.next_process(), notes.handlers):
        await notes.until_begun("early")


async def test_a_stop_lets_jobs_end_and_begins_no_other(place: Place, notes: Notes) -> None:
    notes.doing = lambda _: anyio.sleep(0.2)
    async with working(place.jobs, notes.handlers, places=1):
        await place.enqueue(job("at work"), job("waits"))
        await notes.until_begun("at work")
    assert notes.ended == ["at work"]
    assert await place.jobs.counts() == {"waiting": 1, "delayed": 0, "working": 0}


async def test_what_a_stop_cuts_off_is_delivered_again(place: Place, notes: Notes) -> None:
    notes.doing = lambda _: anyio.sleep_forever()
    async with working(place.jobs, notes.handlers, drain=0.1):
        await place.enqueue(job("1", lock="a", dedupe="k"), job("2", lock="a"))
        await notes.until_begun("1")
    assert await place.jobs.counts() == {"waiting": 2, "delayed": 0, "working": 0}
    notes.doing = None
    for jobs in (place.jobs, place.next_process()):
        async with working(jobs, notes.handlers):
            await jobs.settled()
    assert (notes.begun, notes.ended) == (["1", "1", "2"], ["1", "2"])


@pytest.mark.parametrize("draining", [False, True])
async def test_a_cancelled_worker_gives_its_jobs_back_at_once(place: Place, notes: Notes, draining: bool) -> None:
    stop = anyio.Event()
    notes.doing = the_first_time_hang(notes)
    await place.enqueue(job("1"))

    async def work() -> None:
        await place.jobs.work(notes.handlers, queues=None, concurrency=1, stop=stop, drain=60)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await notes.until_begun("1")
        if draining:
            stop.set()
            await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    assert await place.jobs.counts() == {"waiting": 1, "delayed": 0, "working": 0}
    async with working(place.jobs, notes.handlers):
        await place.jobs.settled()
    assert (notes.begun, notes.ended) == (["1", "1"], ["1"])


async def test_a_lock_is_held_from_the_promise_to_the_end(place: Place, notes: Notes) -> None:
    held: list[bool] = []

    async def look(_: str) -> None:
        held.append(await place.workspace.read(lambda tx: place.jobs.holds(tx, "a")))

    def promise(tx: Tx) -> None:
        held.append(place.jobs.holds(tx, "a"))
        place.jobs.enqueue(tx, job("1", lock="a"))
        held.append(place.jobs.holds(tx, "a"))

    notes.doing = look
    await place.workspace.write(promise)
    async with working(place.jobs, notes.handlers):
        await place.jobs.settled()
        held.append(await place.workspace.read(lambda tx: place.jobs.holds(tx, "a")))
    assert held == [False, True, True, False]


async def test_a_job_does_not_begin_before_one_that_counts_on_it_is_committed(place: Place, notes: Notes) -> None:
    begun: list[list[str]] = []

    def count_on_it(tx: Tx) -> None:
        place.jobs.enqueue(tx, job("unwanted", dedupe="k"))
        time.sleep(0.3)
        begun.append(list(notes.begun))

    await place.enqueue(job("waits", dedupe="k"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(place.workspace.write, count_on_it)
        await anyio.sleep(0.05)
        async with working(place.jobs, notes.handlers):
            await notes.until_begun("waits")
    assert (begun, notes.ended) == ([[]], ["waits"])


def test_tries_are_at_most_a_minute_apart() -> None:
    assert [wait_before(tries) for tries in range(9)] == [1, 1, 2, 4, 8, 16, 32, 60, 60]
    assert wait_before(10**9) == 60


@embedded_alone
async def test_what_a_dead_process_had_at_work_is_delivered_again(place: Place, notes: Notes) -> None:
    notes.doing = the_first_time_hang(notes)
    async with working(place.jobs, notes.handlers, drain=0):
        await place.enqueue(job("1", lock="a", dedupe="k"), job("2", lock="a"))
        await notes.until_begun("1")
        following = place.next_process()
        async with working(following, notes.handlers):
            await following.settled()
        assert (notes.begun, notes.ended) == (["1", "1", "2"], ["1", "2"])


@embedded_alone
async def test_rows_tell_how_often_a_job_failed_and_go_when_it_is_done(
    place: Place, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    def rows(tx: Tx) -> list[tuple[Any, ...]]:
        columns = tables.job.c
        return [
            tuple(row) for row in tx.connection.execute(select(columns.args, columns.dedupe, columns.attempts))
        ]

    async def fail(name: str) -> None:
        if name == "fails":
            raise Unavailable("Away.")

    notes.doing = fail
    await place.enqueue(job("fails", dedupe="k"), job("is done", dedupe="l"))
    async with working(place.jobs, notes.handlers):
        await notes.until_begun("fails", "is done")
    assert await place.workspace.read(rows) == [({"name": "fails"}, None, 1)]
    assert caplog.messages == ["the job 1 (note) is tried again later: Away."]


@embedded_alone
async def test_a_row_that_memory_was_not_told_of_is_found(place: Place, notes: Notes) -> None:
    async with working(place.jobs, notes.handlers):
        await place.workspace.write(lambda tx: place.next_process().enqueue(tx, job("1")))
        await notes.until_begun("1")


PROCESS = """
import sys, anyio
from tools.jobs import distributed, embedded
from tools.jobs.distributed import DistributedJobs
from tools.storage.database import open_database

async def main(url, lease, seconds):
    async def note(args):
        print("begun", args["name"], flush=True)
        await anyio.sleep(float(seconds))
        print("ended", args["name"], flush=True)

    async with open_database(url) as database:
        jobs = DistributedJobs(url, database, lease=float(lease))
        await jobs.work({"note": note}, queues=None, concurrency=1, stop=anyio.Event(), drain=1)

anyio.run(main, *sys.argv[1:])
"""


@asynccontextmanager
async def another_process(place: Place, *, seconds: float) -> AsyncIterator[Process]:
    """Let a process of its own do jobs, each for so many seconds."""
    command = [sys.executable, "-c", PROCESS, place.url, str(LEASE), str(seconds)]
    with anyio.fail_after(20):
        process = await anyio.open_process(command, cwd=ROOT, stderr=None)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def until_said(process: Process, words: str) -> None:
    assert process.stdout is not None
    heard = ""
    async for part in TextReceiveStream(process.stdout):
        heard += part
        if words in heard:
            return
    raise AssertionError(f"The process ended; it said {heard!r}.")


@distributed_alone
async def test_jobs_of_a_killed_process_are_delivered_by_another(place: Place, notes: Notes) -> None:
    await place.enqueue(job("1", lock="a"), job("2", lock="a"))
    async with another_process(place, seconds=60) as process:
        await until_said(process, "begun 1")
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        async with working(place.jobs, notes.handlers):
            await place.jobs.settled()
    assert notes.ended == ["1", "2"]
    assert time.monotonic() - killed < LEASE * 4 / 3 + 2


@distributed_alone
async def test_a_process_that_slept_past_its_lease_does_no_harm_and_works_again(
    place: Place, notes: Notes
) -> None:
    may_end = anyio.Event()
    notes.doing = lambda _: may_end.wait()
    await place.enqueue(job("1", lock="a"))
    async with another_process(place, seconds=0.5) as process:
        await until_said(process, "begun 1")
        process.send_signal(signal.SIGSTOP)
        await anyio.sleep(LEASE + 0.1)
        async with working(place.jobs, notes.handlers, queues=["turns"]):
            await notes.until_begun("1")
            process.send_signal(signal.SIGCONT)
            await until_said(process, "ended 1")
            await place.enqueue(job("2", queue="upkeep"))
            await until_said(process, "ended 2")
            await anyio.sleep(0.2)
            assert await place.jobs.counts() == {"waiting": 0, "delayed": 0, "working": 1}
            may_end.set()
            await place.jobs.settled()
    assert (notes.begun, notes.ended) == (["1"], ["1"])


async def enqueue_as_soon_as_possible(place: Place, wanted: Job) -> None:
    for _ in range(20):
        try:
            await place.enqueue(wanted)
            return
        except Unavailable:
            await anyio.sleep(0.1)


@distributed_alone
async def test_a_restart_of_the_server_is_waited_for(place: Place, notes: Notes, server: Postgres) -> None:
    may_end = anyio.Event()
    notes.doing = lambda name: may_end.wait() if name == "at work" else checkpoint()
    await place.enqueue(job("at work"))
    async with working(place.jobs, notes.handlers):
        await notes.until_begun("at work")
        await anyio.to_thread.run_sync(server.stop)
        await anyio.sleep(0.5)
        may_end.set()
        await anyio.sleep(0.5)
        await anyio.to_thread.run_sync(server.start)
        await enqueue_as_soon_as_possible(place, job("new"))
        await notes.until_begun("new")
        await place.jobs.settled()
    assert notes.ended == ["at work", "new"]


@distributed_alone
async def test_a_worker_that_is_cut_off_for_long_gives_up_its_jobs_and_begins_anew(
    place: Place, notes: Notes, server: Postgres
) -> None:
    async with open_database(place.url) as database:
        jobs = DistributedJobs(place.url, database, lease=0.2)
        notes.doing = the_first_time_hang(notes)
        await place.enqueue(job("1", lock="a"))
        async with working(jobs, notes.handlers):
            await notes.until_begun("1")
            await anyio.to_thread.run_sync(server.stop)
            await anyio.sleep(1.5)
            await anyio.to_thread.run_sync(server.start)
            await enqueue_as_soon_as_possible(place, job("2", lock="a"))
            await notes.until_begun("2")
    assert (notes.begun, notes.ended) == (["1", "1", "2"], ["1", "2"])


@distributed_alone
async def test_a_job_whose_handing_out_got_lost_is_delivered(place: Place, notes: Notes) -> None:
    hand_out = text(
        "update procrastinate_jobs set status = 'doing', worker_id = (select max(id) from procrastinate_workers)"
    )
    await place.enqueue(job("lost", run_at=SystemClock().now() + timedelta(hours=1)))
    async with working(place.jobs, notes.handlers):
        await place.enqueue(job("first"))
        await notes.until_begun("first")
        await place.workspace.write(lambda tx: tx.change(hand_out))
        await notes.until_begun("lost")


@distributed_alone
async def test_tables_of_another_release_are_refused_and_none_are_named(place: Place, server: Postgres) -> None:
    engine = postgres_engine(place.url)
    with engine.begin() as connection:
        apply_schema(connection)
        connection.execute(text("drop function procrastinate_retry_job_v2"))
        with pytest.raises(ConfigError) as refused:
            apply_schema(connection)
    engine.dispose()
    assert "procrastinate_retry_job_v2 is missing" in refused.value.message
    assert "procrastinate schema --migrations-path" in str(refused.value.remedy)
    bare = postgres_engine(server.url("postgres"))
    with bare.begin() as connection, pytest.raises(ConfigError, match="has no tables for jobs"):
        require_schema(connection)
    bare.dispose()
