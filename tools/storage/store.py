"""The store: every row is reached through ``store.in_workspace(workspace_id)``.

``write`` and ``read`` take a plain function of a ``Tx``; the functions of the sibling modules (``runs``,
``events``, ``ledger`` ...) take that ``Tx`` first, so whatever is done in one function commits together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import anyio
from sqlalchemy import Connection, CursorResult, Executable, RowMapping, text

from policies.types import JSON, Audience
from tools.clock import Clock, Ids
from tools.storage.database import Database
from tools.storage.sealing import Sealer

T = TypeVar("T")
CHANNEL = "handrail"
_ANYTHING = text("select 1")
_NOTIFY = text("select pg_notify(:channel, :ring)")


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """One item of a conversation's stream, numbered without gaps from 1."""

    conversation_id: str
    seq: int
    run_id: str | None
    run_seq: int | None
    type: str
    audience: Audience
    data: JSON
    at: str


@dataclass(frozen=True)
class Ring:
    """A sign to whoever it concerns, in this process and others, that rows have changed.

    It says where to look and nothing else; whoever misses one must find out by looking. ``event``: the
    conversation ``name`` has events up to ``number``. ``stop``: the run ``name`` has been ended from outside.
    """

    kind: str
    name: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.number}"

    @staticmethod
    def parse(text: str) -> Ring | None:
        """Return the ring that a text stands for, or None if it is not one."""
        match text.split(" "):
            case [kind, name, number] if number.isdecimal():
                return Ring(kind, name, int(number))
        return None


@dataclass(kw_only=True)
class Tx:
    """One transaction in one workspace."""

    connection: Connection
    workspace_id: str
    clock: Clock
    ids: Ids
    sealer: Sealer
    appended: list[StoredEvent] = field(default_factory=list)
    """Events that this transaction appended, for those who follow."""
    after: list[Callable[[], None]] = field(default_factory=list)
    """What is called on the event loop once this transaction is committed; it must neither fail nor wait."""

    rings: list[Ring] = field(default_factory=list)
    """What others are told once this transaction is committed."""

    def now(self) -> str:
        """Return the present time as the tables write it."""
        return stamp(self.clock.now())

    def one(self, statement: Executable, **values: Any) -> RowMapping | None:
        """Run a statement and return its only row, or None.

        Statements on a turn's path are built once, with ``bindparam``: building one costs five times as much
        as running it. ``ws`` is always bound to this workspace.
        """
        return self._execute(statement, values).mappings().one_or_none()

    def all(self, statement: Executable, **values: Any) -> list[RowMapping]:
        """Run a statement and return its rows."""
        return list(self._execute(statement, values).mappings())

    def value(self, statement: Executable, **values: Any) -> Any:
        """Run a statement and return the first column of its only row, or None."""
        return self._execute(statement, values).scalar_one_or_none()

    def change(self, statement: Executable, **values: Any) -> int:
        """Run an update or a deletion; return how many rows changed."""
        return int(self._execute(statement, values).rowcount)

    def insert(self, statement: Executable, rows: list[dict[str, Any]]) -> None:
        """Insert rows, which belong to this workspace."""
        self.connection.execute(statement, [{"workspace_id": self.workspace_id, **row} for row in rows])

    def _execute(self, statement: Executable, values: dict[str, Any]) -> CursorResult[Any]:
        result = self.connection.execute(statement, {"ws": self.workspace_id, **values})
        assert isinstance(result, CursorResult)
        return result


def stamp(at: datetime) -> str:
    """Write a time as the tables hold it: ISO 8601, UTC, microseconds, so that texts sort as times do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True, kw_only=True)
class Store:
    """All workspaces of one database."""

    database: Database
    clock: Clock
    ids: Ids
    sealer: Sealer
    publish: Callable[[list[StoredEvent]], None]
    """Told of appended events once they are on disk."""
    heard: Callable[[Ring], None] = lambda _ring: None
    """Told of this process's own rings; those of others come through the doorbell."""

    def in_workspace(self, workspace_id: str) -> Workspace:
        """Return the store as one workspace sees it."""
        return Workspace(store=self, id=workspace_id)

    async def ping(self) -> None:
        """Make sure that rows can be written; raises ``Unavailable``."""
        await self.database.write(lambda connection: connection.execute(_ANYTHING), durable=False)

    async def in_all_workspaces(self, work: Callable[[Connection], T]) -> T:
        """Read across workspaces, for house-keeping alone."""
        return await self.database.read(work)


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """The rows of one tenant."""

    store: Store
    id: str

    async def write(self, work: Callable[[Tx], T], *, durable: bool = True) -> T:
        """Run ``work`` in a transaction; it is committed, and its events published, when this returns.

        ``durable`` is what ``Database.write`` says of it.
        """
        made: list[Tx] = []

        def begin(connection: Connection) -> T:
            tx = self._tx(connection)
            value = work(tx)
            if self.store.database.notifies:
                _notify(tx)
            made.append(tx)
            return value

        async def commit() -> T:
            result = await self.store.database.write(begin, durable=durable)
            self._tell(made[-1])
            return result

        return await _to_its_end(commit())

    def _tell(self, tx: Tx) -> None:
        if tx.appended:
            self.store.publish(tx.appended)
        for ring in tx.rings:
            self.store.heard(ring)
        for call in tx.after:
            call()

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` on a reading connection."""
        return await self.store.database.read(lambda connection: work(self._tx(connection)))

    def _tx(self, connection: Connection) -> Tx:
        store = self.store
        return Tx(
            connection=connection, workspace_id=self.id, clock=store.clock, ids=store.ids, sealer=store.sealer
        )


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await what must not be left half-way: a caller who goes away must not keep others from hearing of a commit.

    It has a task of its own, because LangGraph cancels its steps natively, through any shield of anyio's.
    """
    task = asyncio.get_running_loop().create_task(work)
    # Whoever is cancelled is not told of a failure as well.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()


def _notify(tx: Tx) -> None:
    """Ring in the transaction itself, so that others hear of it when it commits and only then."""
    last = {event.conversation_id: event.seq for event in tx.appended}
    for ring in [*(Ring("event", name, number) for name, number in last.items()), *tx.rings]:
        tx.connection.execute(_NOTIFY, {"channel": CHANNEL, "ring": str(ring)})
