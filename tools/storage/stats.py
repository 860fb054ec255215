"""How much is stored, and where: for the operator who wants to know what a turn costs in bytes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, TextClause, create_engine, func, inspect, select, table, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from policies.errors import ConfigError
from tools.storage import tables
from tools.storage.database import named
from tools.storage.migrations import require_current
from tools.storage.postgres import postgres_engine

# LangGraph's, on SQLite and on PostgreSQL.
CHECKPOINTS = ("checkpoints", "writes", "checkpoint_blobs", "checkpoint_writes")
_SQLITE_SIZES = text(
    "select coalesce(m.tbl_name, s.name) as name, sum(s.pgsize) as bytes"
    " from dbstat s left join sqlite_master m on m.name = s.name where s.aggregate = true group by 1"
)
_SQLITE_PAGES = text(
    "select page_size, page_count, freelist_count from pragma_page_size, pragma_page_count, pragma_freelist_count"
)
_POSTGRES_SIZES = text(
    "select c.relname as name, pg_total_relation_size(c.oid) as bytes"
    " from pg_class c where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace"
)
_POSTGRES_TOTAL = text("select pg_database_size(current_database())")
_RUNS = select(tables.run.c.status, func.count()).group_by(tables.run.c.status).order_by(tables.run.c.status)
_OLDEST = select(func.min(tables.event.c.at))


@dataclass(frozen=True, kw_only=True)
class TableStats:
    """One table with its indexes."""

    name: str
    rows: int
    bytes: int | None
    """None where this SQLite was built without ``dbstat``."""


@dataclass(frozen=True, kw_only=True)
class StorageStats:
    """What a database holds."""

    backend: str
    bytes: int
    """What is in use, checkpoints with it."""
    free_bytes: int
    """What deleted rows left in a SQLite file; new rows take it before the file grows."""
    tables: tuple[TableStats, ...]
    """Largest first, checkpoints apart."""
    runs: dict[str, int]
    """How many runs there are, by status."""
    bytes_per_turn: int | None
    """``bytes`` for each run. Documents are among them, so it says little before there are many runs."""
    oldest_event: str | None
    checkpoint_rows: int
    checkpoint_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class _Size:
    total: int
    free: int
    tables: tuple[TableStats, ...]


def storage_stats(connection: Connection, checkpoints: Connection | None = None) -> StorageStats:
    """Measure a database; ``checkpoints`` is where LangGraph's tables are if they are not there too.

    Rows are counted, so it reads every table once.
    """
    sizes = [_measured(each) for each in (connection, checkpoints) if each is not None]
    total, free = sum(each.total for each in sizes), sum(each.free for each in sizes)
    found = sorted((one for size in sizes for one in size.tables), key=lambda one: (-(one.bytes or 0), one.name))
    kept = [one for one in found if one.name in CHECKPOINTS]
    runs = {str(row[0]): int(row[1]) for row in connection.execute(_RUNS)}
    known = [one.bytes for one in kept if one.bytes is not None]
    return StorageStats(
        backend=connection.dialect.name,
        bytes=total,
        free_bytes=free,
        tables=tuple(one for one in found if one.name not in CHECKPOINTS),
        runs=runs,
        bytes_per_turn=round(total / sum(runs.values())) if runs else None,
        oldest_event=connection.execute(_OLDEST).scalar_one_or_none(),
        checkpoint_rows=sum(one.rows for one in kept),
        checkpoint_bytes=sum(known) if len(known) == len(kept) else None,
    )


def sqlite_stats(rows: Path, checkpoints: Path) -> StorageStats:
    """Measure the files of a data folder, without owning it: a server may be at work on them.

    Raises ``ConfigError`` when there is no database yet, ``Unavailable`` when it can't be read.
    """
    if not rows.exists():
        raise ConfigError(
            f"There is no database at {rows}.", remedy="Ingest, ask or serve first, or name another data folder."
        )
    try:
        with _reading(rows) as connection:
            if not checkpoints.exists():
                return storage_stats(connection)
            with _reading(checkpoints) as beside:
                return storage_stats(connection, beside)
    except DBAPIError as error:
        raise named(error) from error


def postgres_stats(url: str) -> StorageStats:
    """Measure a PostgreSQL database, which holds the checkpoints too.

    Raises ``ConfigError`` when its tables are not this version's, ``Unavailable`` when it does not answer.
    """
    engine = postgres_engine(url)
    try:
        with engine.connect() as connection:
            require_current(connection)
            return storage_stats(connection)
    except DBAPIError as error:
        raise named(error) from error
    finally:
        engine.dispose()


@contextmanager
def _reading(path: Path) -> Iterator[Connection]:
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def _measured(connection: Connection) -> _Size:
    if connection.dialect.name == "sqlite":
        size, pages, unused = connection.execute(_SQLITE_PAGES).one()
        sizes = _sqlite_sizes(connection)
        return _Size(total=size * (pages - unused), free=size * unused, tables=_tables(connection, sizes))
    total = connection.execute(_POSTGRES_TOTAL).scalar_one()
    sizes = _sizes(connection, _POSTGRES_SIZES)
    return _Size(total=total, free=0, tables=_tables(connection, sizes))


def _sqlite_sizes(connection: Connection) -> dict[str, int]:
    try:
        return _sizes(connection, _SQLITE_SIZES)
    except OperationalError:
        # A SQLite without ``dbstat`` knows the size of the whole only.
        return {}


def _sizes(connection: Connection, statement: TextClause) -> dict[str, int]:
    return {str(row[0]): int(row[1]) for row in connection.execute(statement)}


def _tables(connection: Connection, sizes: dict[str, int]) -> tuple[TableStats, ...]:
    names = inspect(connection).get_table_names()
    return tuple(TableStats(name=name, rows=_count(connection, name), bytes=sizes.get(name)) for name in names)


def _count(connection: Connection, name: str) -> int:
    return int(connection.execute(select(func.count()).select_from(table(name))).scalar_one())
