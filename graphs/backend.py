"""Where rows, checkpoints and jobs are kept: one SQLite folder for one process, or PostgreSQL for many."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread
from sqlalchemy.exc import OperationalError

from graphs.settings import Settings
from policies.errors import ConfigError
from tools.clock import Clock
from tools.jobs.distributed import DistributedJobs
from tools.jobs.embedded import EmbeddedJobs
from tools.jobs.ports import Jobs
from tools.jobs.schema import apply_schema, require_schema
from tools.storage.checkpoints import Checkpoints, open_checkpoints, set_up_postgres
from tools.storage.database import Database, named, open_database
from tools.storage.lock import owned
from tools.storage.migrations import upgrade
from tools.storage.postgres import IN_TIME, conninfo, postgres_engine
from tools.storage.scrubbing import scrub
from tools.storage.sqlite import sqlite_engine


@dataclass(frozen=True, kw_only=True)
class Backend:
    """What one process keeps things in."""

    database: Database
    checkpoints: Checkpoints
    jobs: Jobs
    line: str | None
    """PostgreSQL's connection string, over which other processes are heard; None when there are none."""
    scrub: Callable[[], Awaitable[bool]]
    """Writes over what deleted rows left in files; returns whether that is done."""


@asynccontextmanager
async def open_backend(
    settings: Settings, clock: Clock, wrapped: Callable[[Database], Database] = lambda database: database
) -> AsyncIterator[Backend]:
    """Open what ``HANDRAIL_DATABASE_URL`` names, or the data folder without it; ``wrapped`` may put something
    between the database and everybody who uses it.

    Raises ``ConfigError`` when another process owns the folder or the database is at another revision, and
    ``Unavailable`` when it does not answer.
    """
    if settings.database_url is None:
        with owned(settings.data):
            async with (
                open_database(settings.data / "handrail.db") as opened,
                open_checkpoints(settings.data / "checkpoints.db") as checkpoints,
            ):
                database = wrapped(opened)
                jobs = EmbeddedJobs(database, clock)
                scrubs = partial(_scrub_folder, settings.data)
                yield Backend(database=database, checkpoints=checkpoints, jobs=jobs, line=None, scrub=scrubs)
        return
    await anyio.to_thread.run_sync(_make_folder, settings)
    url = settings.database_url.get_secret_value()
    async with open_database(url) as opened, open_checkpoints(conninfo(url, options=IN_TIME)) as checkpoints:
        database, line = wrapped(opened), conninfo(url)
        await database.read(require_schema)
        shared: Jobs = DistributedJobs(url, database, lease=settings.lease_seconds)
        yield Backend(database=database, checkpoints=checkpoints, jobs=shared, line=line, scrub=_left_to_server)


async def _scrub_folder(data: Path) -> bool:
    return all([await anyio.to_thread.run_sync(scrub, data / name) for name in ("handrail.db", "checkpoints.db")])


async def _left_to_server() -> bool:
    """Do nothing: PostgreSQL clears dead rows away by itself, later (autovacuum)."""
    return False


def _make_folder(settings: Settings) -> None:
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The data folder {settings.data} can't be used: {error.strerror or error}.",
            remedy="Set HANDRAIL_DATA to a folder that you may write to.",
        ) from error


async def upgrade_backend(settings: Settings) -> str:
    """Make the tables of everything that keeps something, or bring them to this version; return our revision.

    Raises ``ConfigError`` when another process owns the data folder, ``Unavailable`` when PostgreSQL does not
    answer.
    """
    if settings.database_url is None:
        with owned(settings.data):
            return await anyio.to_thread.run_sync(_upgrade_sqlite, settings.data / "handrail.db")
    url = settings.database_url.get_secret_value()
    revision = await anyio.to_thread.run_sync(_upgrade_postgres, url)
    await set_up_postgres(conninfo(url))
    return revision


def _upgrade_sqlite(path: Path) -> str:
    engine = sqlite_engine(path, immediate=True)
    try:
        return upgrade(engine)
    finally:
        engine.dispose()


def _upgrade_postgres(url: str) -> str:
    engine = postgres_engine(url)
    try:
        revision = upgrade(engine)
        with engine.begin() as connection:
            apply_schema(connection)
        return revision
    except OperationalError as error:
        raise named(error) from error
    finally:
        engine.dispose()
