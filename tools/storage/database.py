"""Transactions: what a database must do for us, whichever it is.

A transaction is a plain function of a connection. It may be run again (a lost race is tried anew), so it changes
nothing but rows and what it returns.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import orjson
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from policies.errors import Unavailable

T = TypeVar("T")
Work = Callable[[Connection], Any]


class Database(Protocol):
    """The one door to the rows."""

    @property
    def notifies(self) -> bool:
        """Whether other processes work on the same rows and hear what is rung in a transaction (``Tx.ring``)."""
        ...

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run ``work`` in a write transaction; when this returns, it is committed and survives this process.

        A ``durable`` one survives a power cut too: it waits for the disk. One that is not becomes durable with
        the next that is, which suits steps between the acceptance of a message and its end.

        ``work`` runs in a thread and must not wait for anything else. Raises what ``work`` raises, or
        ``Unavailable`` when the database does; then it may or may not be committed.
        """
        ...

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a reading connection, in a thread; it sees what was committed before."""
        ...

    async def close(self) -> None:
        """Finish the writes that wait, then close."""
        ...


@asynccontextmanager
async def open_database(where: Path | str) -> AsyncIterator[Database]:
    """Open a SQLite file by its path, bringing its tables up to date, or PostgreSQL by its URL.

    Raises ``ConfigError`` when a PostgreSQL database is not at this version's revision, ``Unavailable`` when it
    does not answer.
    """
    if isinstance(where, Path):
        from tools.storage.sqlite import open_sqlite

        async with open_sqlite(where) as database:
            yield database
    else:
        from tools.storage.postgres import open_postgres

        async with open_postgres(where) as database:
            yield database


def named(error: Exception) -> Exception:
    """Return the error that callers know: all of a database but a broken constraint is ``Unavailable``."""
    if not isinstance(error, DBAPIError) or isinstance(error, IntegrityError):
        return error
    # Not the error's own text: it has the statement's values in it.
    return Unavailable(f"The database does not answer: {_plain(error)}.", remedy="Look at it and try again.")


def _plain(error: DBAPIError) -> str:
    """Return the first line of what the driver said, which names no values."""
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0].rstrip(".")


def as_json(value: Any) -> str:
    """Write a JSON column."""
    return orjson.dumps(value).decode()
