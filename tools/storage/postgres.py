"""Transactions on PostgreSQL, shared with other processes.

The statements are those of SQLite. What SQLite's one writer gives for nothing is taken here by locking a
conversation's row first (``conversations.lock``); what races even so (a deadlock, two first uses of one key) is
undone by the server and tried again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import orjson
import psycopg
from procrastinate.exceptions import ConnectorException
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from policies.errors import ConfigError, Unavailable
from tools.metrics import WRITE_SECONDS
from tools.storage.database import Database, as_json, named
from tools.storage.migrations import require_current

T = TypeVar("T")
CONNECTIONS = 12
MOST_TRIES = 5
KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_LOST_RACES = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UniqueViolation,
)
IN_TIME = "-c lock_timeout=10s -c statement_timeout=30s -c idle_in_transaction_session_timeout=15s"
"""No statement waits for ever, and a process that is stopped in mid-transaction does not keep its locks."""


class PostgresDatabase:
    """The one door to a PostgreSQL database; made by ``open_postgres``."""

    notifies = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = anyio.CapacityLimiter(CONNECTIONS)

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:  # noqa: ARG002
        """Run ``work`` in a write transaction; see ``Database.write``.

        All are durable here. What is not would be lost when the server crashes while its clients live on: an epoch
        would be given out twice, and readers would have seen events that never were.
        """
        with WRITE_SECONDS.time():
            return await anyio.to_thread.run_sync(self._write, work, limiter=self._threads)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a reading connection; see ``Database.read``."""
        return await anyio.to_thread.run_sync(self._read, work, limiter=self._threads)

    async def close(self) -> None:
        """Close the connections."""
        await anyio.to_thread.run_sync(self._engine.dispose)

    def _write(self, work: Callable[[Connection], T]) -> T:
        for left in reversed(range(MOST_TRIES)):
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if left and isinstance(error.orig, _LOST_RACES):
                    continue
                raise named(error) from error
            except ConnectorException as error:
                raise Unavailable("The database does not answer.", remedy="Look at it and try again.") from error
        raise AssertionError("The last try returns or raises.")

    def _read(self, work: Callable[[Connection], T]) -> T:
        for left in reversed(range(2)):
            try:
                with self._engine.connect() as connection:
                    return work(connection)
            except DBAPIError as error:
                # The connection was cut while it lay in the pool; reading again harms nothing.
                if left and error.connection_invalidated:
                    continue
                raise named(error) from error
        raise AssertionError("The last try returns or raises.")


def postgres_engine(url: str, *, options: str = "") -> Engine:
    """Make an engine for a database that other processes use too; ``options`` go to the server, after the URL's.

    Raises ``ConfigError`` for a text that is no PostgreSQL URL.
    """
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise _no_url() from error
    if address.get_backend_name() != "postgresql":
        raise _no_url()
    return create_engine(
        address.set(drivername="postgresql+psycopg"),
        json_serializer=as_json,
        json_deserializer=orjson.loads,
        hide_parameters=True,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_use_lifo=True,
        isolation_level="READ COMMITTED",
        connect_args={
            "application_name": "handrail",
            "connect_timeout": 5,
            "options": f"{address.query.get('options', '')} {options}".strip(),
            **KEEPALIVE,
        },
    )


def conninfo(url: str, *, options: str = "") -> str:
    """Return the URL as psycopg takes it; ``options`` go to the server, after the URL's."""
    address = make_url(url)
    query = dict(address.query)
    both = f"{query.pop('options', '')} {options}".strip()
    plain = address.set(drivername="postgresql", query=query).render_as_string(hide_password=False)
    return make_conninfo(plain, **({"options": both} if both else {}))


def _no_url() -> ConfigError:
    # Not the text itself: it may hold a password.
    return ConfigError(
        "The database URL is not one of PostgreSQL.",
        remedy="Write HANDRAIL_DATABASE_URL as postgresql://user:password@host:5432/name, or unset it for SQLite.",
        code="settings.invalid",
    )


@asynccontextmanager
async def open_postgres(url: str) -> AsyncIterator[Database]:
    """Open a database that ``handrail db upgrade`` has made, and close its connections in the end."""
    engine = postgres_engine(url, options=IN_TIME)
    try:
        await anyio.to_thread.run_sync(_check, engine)
    except BaseException:
        engine.dispose()
        raise
    database = PostgresDatabase(engine)
    try:
        yield database
    finally:
        with anyio.CancelScope(shield=True):
            await database.close()


def _check(engine: Engine) -> None:
    try:
        with engine.connect() as connection:
            require_current(connection)
    except OperationalError as error:
        raise named(error) from error
