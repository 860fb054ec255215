"""Where LangGraph keeps the state of runs between segments: a second SQLite file, or tables of PostgreSQL.

State is plain JSON, so the serializer is given no class that it may build when it loads. Our own rows are the
truth; a checkpoint that is lost is made again from them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from policies.errors import Fenced, Unavailable
from tools.metrics import CHECKPOINT_SECONDS
from tools.storage.postgres import KEEPALIVE

Saver = BaseCheckpointSaver[Any]
Pool = AsyncConnectionPool[AsyncConnection[DictRow]]
POOL_SIZE = 6
POOL_SECONDS = 5.0
_THREADS = "select thread_id from checkpoints union select thread_id from writes"
_THREADS_POSTGRES = "select thread_id from checkpoints union select thread_id from checkpoint_writes"
_CLAIM = "select 1 from run where workspace_id = %s and id = %s and epoch = %s"


class Checkpoints(Protocol):
    """Savers for segments, and their house-keeping."""

    def saver(self, workspace_id: str, run_id: str, epoch: int) -> Saver:
        """Return the saver of one attempt at a segment; it raises ``Fenced`` once a newer attempt owns the run.

        On SQLite there is one process, whose jobs of a conversation take turns, and one saver for all.
        """
        ...

    async def prune(self, run_id: str) -> None:
        """Delete what a run has here."""
        ...

    async def threads(self) -> set[str]:
        """Return the ids of runs that have something here."""
        ...


@contextmanager
def _named() -> Iterator[None]:
    """Let a database that is away, or a full disk, be ``Unavailable``."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout, sqlite3.OperationalError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Unavailable(f"Checkpoints can't be kept: {first}.", remedy="Look at the database.") from error


@contextmanager
def _call(name: str) -> Iterator[None]:
    with CHECKPOINT_SECONDS.labels(name).time(), _named():
        yield


class _Timed(Saver):
    """Times the calls of the saver that it is mixed into, and names its errors."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read the newest checkpoint of a run."""
        with _call("get"):
            return await super().aget_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint."""
        with _call("put"):
            return await super().aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a step wrote before its checkpoint."""
        with _call("put_writes"):
            await super().aput_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Prune a run's checkpoints."""
        with _call("prune"):
            await super().adelete_thread(thread_id)


class _SqliteSaver(_Timed, AsyncSqliteSaver):
    """LangGraph's saver for a SQLite file."""


async def keep(memory: Saver, lasting: Saver, run_id: str) -> None:
    """Store the newest checkpoint that a run has in memory, with the question that waits in it."""
    config: RunnableConfig = {"configurable": {"thread_id": run_id, "checkpoint_ns": ""}}
    held = await memory.aget_tuple(config)
    if held is None:
        return
    versions = held.checkpoint["channel_versions"]
    stored = await lasting.aput(config, held.checkpoint, held.metadata, versions)
    waiting: dict[str, list[tuple[str, Any]]] = {}
    for task_id, channel, value in held.pending_writes or []:
        waiting.setdefault(task_id, []).append((channel, value))
    for task_id, writes in waiting.items():
        await lasting.aput_writes(stored, writes, task_id)


class LateSaver(Saver):
    """Keeps a run's checkpoints in memory until it is told that they must outlast the process."""

    def __init__(self, lasting: Saver, run_id: str) -> None:
        super().__init__(serde=lasting.serde)
        self._lasting = lasting
        self._run_id = run_id
        self._now: Saver = InMemorySaver(serde=lasting.serde)
        self.kept = False
        """Whether anything was written where it outlasts the process."""

    @property
    def lasts(self) -> bool:
        """Whether checkpoints are written where they outlast the process."""
        return self._now is self._lasting

    async def keep(self) -> None:
        """Write the newest checkpoint where it outlasts the process; those to come stay in memory."""
        if not self.lasts:
            self.kept = True
            await keep(self._now, self._lasting, self._run_id)

    async def last(self) -> None:
        """Write the newest checkpoint, and from now on every one, where they outlast the process."""
        await self.keep()
        self._now = self._lasting

    def get_next_version(self, current: Any, channel: None) -> Any:
        """Return the version that follows; both places count alike."""
        return self._lasting.get_next_version(current, channel)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read the newest checkpoint of a run."""
        return await self._now.aget_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint."""
        return await self._now.aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a step wrote before its checkpoint."""
        await self._now.aput_writes(config, writes, task_id, task_path)


class SqliteCheckpoints:
    """Checkpoints in a SQLite file: one saver for all segments of the one process."""

    def __init__(self, saver: _SqliteSaver) -> None:
        self._saver = saver

    def saver(self, workspace_id: str, run_id: str, epoch: int) -> Saver:  # noqa: ARG002
        """Return the one saver; see ``Checkpoints.saver``."""
        return self._saver

    async def prune(self, run_id: str) -> None:
        """Delete what a run has here."""
        await self._saver.adelete_thread(run_id)

    async def threads(self) -> set[str]:
        """Return the ids of runs that have something here."""
        async with self._saver.lock, self._saver.conn.execute(_THREADS) as cursor:
            return {row[0] for row in await cursor.fetchall()}


class _FencedSaver(_Timed, AsyncPostgresSaver):
    """LangGraph's saver for one attempt: one saver for all would serialise its calls.

    The epoch is compared before each write. Between the two lies a moment; what must not be wrong is compared
    again with our own rows (``Segments``).
    """

    def __init__(self, pool: Pool, claim: tuple[str, str, int]) -> None:
        super().__init__(pool, serde=_serde())
        self._pool = pool
        self._claim = claim

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint; raises ``Fenced``."""
        await self._require_claim()
        return await super().aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a step wrote before its checkpoint; raises ``Fenced``."""
        await self._require_claim()
        await super().aput_writes(config, writes, task_id, task_path)

    async def _require_claim(self) -> None:
        with _named():
            async with self._pool.connection() as connection:
                found = await (await connection.execute(_CLAIM, self._claim)).fetchone()
        if found is None:
            raise Fenced(f"Another attempt owns the run {self._claim[1]}.")


class PostgresCheckpoints:
    """Checkpoints in PostgreSQL, over a pool of connections."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def saver(self, workspace_id: str, run_id: str, epoch: int) -> Saver:
        """Return the saver of one attempt; see ``Checkpoints.saver``."""
        return _FencedSaver(self._pool, (workspace_id, run_id, epoch))

    async def prune(self, run_id: str) -> None:
        """Delete what a run has here."""
        with _call("prune"):
            await AsyncPostgresSaver(self._pool, serde=_serde()).adelete_thread(run_id)

    async def threads(self) -> set[str]:
        """Return the ids of runs that have something here."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_THREADS_POSTGRES)
            return {row["thread_id"] for row in await cursor.fetchall()}


def _serde() -> JsonPlusSerializer:
    return JsonPlusSerializer(allowed_msgpack_modules=None)


@asynccontextmanager
async def open_checkpoints(where: Path | str) -> AsyncIterator[Checkpoints]:
    """Open the checkpoint file, or PostgreSQL by its connection string; raises ``Unavailable``.

    The file commits without waiting for the disk (WAL, ``synchronous=NORMAL``): a checkpoint that a power cut
    takes back is made again from our rows.
    """
    if isinstance(where, str):
        async with _pool(where) as pool:
            yield PostgresCheckpoints(pool)
        return
    async with aiosqlite.connect(where) as connection:
        saver = _SqliteSaver(connection, serde=_serde())
        await saver.setup()
        await connection.execute("PRAGMA synchronous=NORMAL")
        await connection.execute("PRAGMA secure_delete=ON")
        yield SqliteCheckpoints(saver)


@asynccontextmanager
async def _pool(conninfo: str) -> AsyncIterator[Pool]:
    settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    pool: Pool = AsyncConnectionPool(
        conninfo,
        kwargs={
            **settings,
            "application_name": "handrail checkpoints",
            "connect_timeout": 5,
            **KEEPALIVE,
        },
        min_size=1,
        max_size=POOL_SIZE,
        timeout=POOL_SECONDS,
        # A restart of the server leaves dead connections here; each would cost a run an attempt.
        check=AsyncConnectionPool.check_connection,
        open=False,
    )
    try:
        await pool.open(wait=True, timeout=POOL_SECONDS)
        yield pool
    except PoolTimeout as error:
        raise Unavailable("The database does not answer.", remedy="Look at it and try again.") from error
    finally:
        await pool.close()


async def set_up_postgres(conninfo: str) -> None:
    """Make LangGraph's tables, or bring them up to date; raises ``Unavailable``."""
    try:
        async with AsyncPostgresSaver.from_conn_string(conninfo) as saver:
            await saver.setup()
    except OperationalError as error:
        raise Unavailable("The database does not answer.", remedy="Look at it and try again.") from error
