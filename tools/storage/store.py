"""The store: every row is reached through ``store.in_workspace(workspace_id)``.

``write`` and ``read`` take a plain function of a ``Tx``; the functions of the sibling modules (``runs``,
``events``, ``ledger`` ...) take that ``Tx`` first, so whatever is done in one function commits together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Executable, RowMapping

from policies.types import JSON, Audience
from tools.clock import Clock, Ids
from tools.storage.database import Database
from tools.storage.sealing import Sealer

T = TypeVar("T")


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

    def in_workspace(self, workspace_id: str) -> Workspace:
        """Return the store as one workspace sees it."""
        return Workspace(store=self, id=workspace_id)

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
            made.append(self._tx(connection))
            return work(made[-1])

        result = await self.store.database.write(begin, durable=durable)
        if made[-1].appended:
            self.store.publish(made[-1].appended)
        return result

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` on a reading connection."""
        return await self.store.database.read(lambda connection: work(self._tx(connection)))

    def _tx(self, connection: Connection) -> Tx:
        store = self.store
        return Tx(
            connection=connection, workspace_id=self.id, clock=store.clock, ids=store.ids, sealer=store.sealer
        )
