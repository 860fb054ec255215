"""Where LangGraph keeps the state of runs between segments: a second SQLite file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from tools.metrics import CHECKPOINT_SECONDS

_THREADS = "select thread_id from checkpoints union select thread_id from writes"


class TimedSaver(AsyncSqliteSaver):
    """LangGraph's SQLite saver, with its calls timed."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read the newest checkpoint of a run."""
        with CHECKPOINT_SECONDS.labels("get").time():
            return await super().aget_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint."""
        with CHECKPOINT_SECONDS.labels("put").time():
            return await super().aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a step wrote before its checkpoint."""
        with CHECKPOINT_SECONDS.labels("put_writes").time():
            await super().aput_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Prune a run's checkpoints."""
        with CHECKPOINT_SECONDS.labels("prune").time():
            await super().adelete_thread(thread_id)

    async def threads(self) -> set[str]:
        """Return the ids of runs that have something here."""
        async with self.lock, self.conn.execute(_THREADS) as cursor:
            return {row[0] for row in await cursor.fetchall()}


@asynccontextmanager
async def open_checkpoints(path: Path) -> AsyncIterator[TimedSaver]:
    """Open the checkpoint file.

    State is plain JSON, so the serializer is given no class that it may build when it loads. The file commits
    without waiting for the disk (WAL, ``synchronous=NORMAL``): our rows are the truth, and a checkpoint that a
    power cut takes back is made again from them.
    """
    async with aiosqlite.connect(path) as connection:
        saver = TimedSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        await saver.setup()
        await connection.execute("PRAGMA synchronous=NORMAL")
        yield saver
