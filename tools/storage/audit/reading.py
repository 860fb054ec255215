"""Reading the ledger page by page, in one snapshot, so that a server at work beside it changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    String,
    bindparam,
    collate,
    create_engine,
    event,
    func,
    or_,
    select,
    text,
    tuple_,
    union,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from policies.errors import ConfigError
from policies.types import JSON
from tools.storage import tables
from tools.storage.audit.chain import COLUMNS, Head, Row
from tools.storage.audit.records import SignedHeads
from tools.storage.database import named
from tools.storage.migrations import require_current
from tools.storage.postgres import postgres_engine

PAGE = 1000
_d = tables.decision.c
_h = tables.chain_head.c
_g = tables.signed_heads.c
_SNAPSHOT = text("set transaction isolation level repeatable read, read only")
_ROW = [_d[name] for name in (*COLUMNS, "body", "hash")]
_HEAD = [_h[name] for name in ("stream", "count", "hash", "signed_count", "signed_hash")]
_AFTER = tuple_(bindparam("stream", type_=String), bindparam("seq", type_=Integer))
_ROWS = (
    select(*_ROW)
    .where(_d.workspace_id == bindparam("ws"), tuple_(_d.stream, _d.seq) > _AFTER)
    .order_by(_d.stream, _d.seq)
    .limit(PAGE)
)
_ROWS_OF_STREAM = (
    select(*_ROW)
    .where(
        _d.workspace_id == bindparam("ws"),
        _d.stream == bindparam("stream"),
        _d.seq > bindparam("seq"),
    )
    .order_by(_d.seq)
    .limit(PAGE)
)
_ROWS_OF_STREAMS = select(*_ROW).where(
    _d.workspace_id == bindparam("ws"), _d.stream.in_(bindparam("streams", expanding=True))
)
_OF_RUN_OR_STREAM = (
    select(_d.body, _d.hash)
    .where(
        _d.workspace_id == bindparam("ws"),
        or_(_d.stream == bindparam("name"), _d.run_id == bindparam("name")),
    )
    .order_by(_d.stream, _d.seq)
)
_HEADS = select(*_HEAD).where(
    _h.workspace_id == bindparam("ws"), _h.stream.in_(bindparam("streams", expanding=True))
)
_NO_ROWS = select(*_HEAD).where(
    _h.workspace_id == bindparam("ws"),
    ~select(_d.seq).where(_d.workspace_id == _h.workspace_id, _d.stream == _h.stream).exists(),
)
_SIGNED = select(_h.stream, _h.signed_count, _h.signed_hash).where(
    _h.workspace_id == bindparam("ws"), _h.signed_count.is_not(None)
)
_RECORDS = (
    select(tables.signed_heads)
    .where(_g.workspace_id == bindparam("ws"), _g.number > bindparam("number"))
    .order_by(_g.number)
    .limit(PAGE)
)
_LAST_RECORD = (
    select(tables.signed_heads).where(_g.workspace_id == bindparam("ws")).order_by(_g.number.desc()).limit(1)
)
_COUNT = select(func.count()).select_from(tables.decision).where(_d.workspace_id == bindparam("ws"))


def snapshot(connection: Connection) -> None:
    """Let all that is read on a connection from now on be of one moment; first thing in its transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(_SNAPSHOT)


def rows(connection: Connection, workspace_id: str, stream: str | None = None) -> Iterator[list[Row]]:
    """Yield a workspace's decisions, or a stream's, in pages; those of a stream come together, in order."""
    at: dict[str, Any] = {"ws": workspace_id, "stream": stream or "", "seq": -(2**31)}
    statement = _ROWS if stream is None else _ROWS_OF_STREAM
    page = [Row(*row) for row in connection.execute(statement, at)]
    while page:
        yield page
        if len(page) < PAGE:
            return
        at |= {"stream": page[-1].stream, "seq": page[-1].seq}
        page = [Row(*row) for row in connection.execute(statement, at)]


def rows_of(connection: Connection, workspace_id: str, names: Sequence[str]) -> Iterator[Row]:
    """Yield the decisions of some streams, sorted by stream as ``streams`` sorts them."""
    ordered = _ROWS_OF_STREAMS.order_by(plain_order(_d.stream, connection), _d.seq)
    values = {"ws": workspace_id, "streams": list(names)}
    with connection.execute(ordered.execution_options(yield_per=PAGE), values) as found:
        for row in found:
            yield Row(*row)


def decisions(connection: Connection, workspace_id: str, name: str) -> list[JSON]:
    """Return the decisions of a run, or of a stream, in order, each with its hash."""
    found = connection.execute(_OF_RUN_OR_STREAM, {"ws": workspace_id, "name": name})
    return [{**orjson.loads(row.body), "hash": row.hash} for row in found]


def heads(connection: Connection, workspace_id: str, streams: Sequence[str]) -> dict[str, Head]:
    """Return the heads of streams, by stream."""
    found = connection.execute(_HEADS, {"ws": workspace_id, "streams": list(streams)})
    return {row["stream"]: Head(**row) for row in found.mappings()}


def heads_without_rows(connection: Connection, workspace_id: str) -> Iterator[Head]:
    """Yield the heads of streams that have no decision."""
    with connection.execute(_NO_ROWS.execution_options(yield_per=PAGE), {"ws": workspace_id}) as found:
        for row in found.mappings():
            yield Head(**row)


def signed_positions(connection: Connection, workspace_id: str) -> Iterator[tuple[str, int, str]]:
    """Yield how far each stream is signed, sorted as the digest wants it."""
    ordered = _SIGNED.order_by(plain_order(_h.stream, connection)).execution_options(yield_per=PAGE)
    with connection.execute(ordered, {"ws": workspace_id}) as found:
        for row in found:
            yield row.stream, row.signed_count, row.signed_hash


def records(connection: Connection, workspace_id: str) -> Iterator[SignedHeads]:
    """Yield the signed records of a workspace, oldest first."""
    number = -(2**31)
    while page := connection.execute(_RECORDS, {"ws": workspace_id, "number": number}).mappings().all():
        yield from (SignedHeads(**row) for row in page)
        number = page[-1]["number"]


def last_record(connection: Connection, workspace_id: str) -> SignedHeads | None:
    """Return the latest signed record, if there is one."""
    row = connection.execute(_LAST_RECORD, {"ws": workspace_id}).mappings().one_or_none()
    return SignedHeads(**row) if row else None


def count(connection: Connection, workspace_id: str) -> int:
    """Return how many decisions there are, for those who watch a long verification."""
    return int(connection.execute(_COUNT, {"ws": workspace_id}).scalar_one())


def streams(connection: Connection, workspace_id: str) -> Iterator[list[str]]:
    """Yield all streams in pages, sorted by their characters' codes on every database."""
    named_by = union(
        select(_d.stream).where(_d.workspace_id == bindparam("ws")),
        select(_h.stream).where(_h.workspace_id == bindparam("ws")),
    ).subquery()
    column = plain_order(named_by.c.stream, connection)
    statement = select(named_by.c.stream).where(column > bindparam("after")).order_by(column).limit(PAGE)
    after = ""
    while page := list(connection.execute(statement, {"ws": workspace_id, "after": after}).scalars()):
        yield page
        after = page[-1]


def plain_order(column: ColumnElement[str], connection: Connection) -> ColumnElement[str]:
    """Return a column as it sorts by its characters' codes; a PostgreSQL database may sort as a language does."""
    return collate(column, "C") if connection.dialect.name == "postgresql" else column


@contextmanager
def opened_to_read(place: Path | str) -> Iterator[Connection]:
    """Open a SQLite file or a PostgreSQL URL to read one snapshot of it, beside whoever is at work on it.

    Raises ``ConfigError`` when there is no database or its tables are not this version's, ``Unavailable`` when it
    does not answer.
    """
    engine = _sqlite_reader(place) if isinstance(place, Path) else postgres_engine(place)
    try:
        with engine.connect() as connection:
            snapshot(connection)
            require_current(connection)
            yield connection
    except DBAPIError as error:
        raise named(error) from error
    finally:
        engine.dispose()


def _sqlite_reader(path: Path) -> Any:
    if not path.exists():
        raise ConfigError(
            f"There is no database at {path}.", remedy="Ask or serve first, or name another data folder."
        )
    address = f"file:{quote(str(path.absolute()))}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine
