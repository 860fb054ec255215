"""A checkpointer in which a workflow's state is sealed.

A developer's graph works on the values themselves, so its state can hold no placeholders. Each value is sealed by
itself: what a saver would look into or lay out in columns of its own, it can't.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from tools.storage.sealing import Sealer

Saver = BaseCheckpointSaver[Any]


class SealedSaver(Saver):
    """Seals what goes into another saver and opens what comes out.

    What opens was sealed with our key, so classes of the developer's own file may be built again from it.
    """

    def __init__(self, inner: Saver, sealer: Sealer) -> None:
        super().__init__(serde=JsonPlusSerializer(allowed_msgpack_modules=True))
        self._inner = inner
        self._sealer = sealer

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read a checkpoint."""
        held = await self._inner.aget_tuple(config)
        return None if held is None else self._opened(held)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Read several checkpoints."""
        async for held in self._inner.alist(config, filter=filter, before=before, limit=limit):
            yield self._opened(held)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint."""
        values = {name: self._seal(value) for name, value in checkpoint["channel_values"].items()}
        return await self._inner.aput(config, {**checkpoint, "channel_values": values}, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a step wrote before its checkpoint."""
        sealed = [(channel, self._seal(value)) for channel, value in writes]
        await self._inner.aput_writes(config, sealed, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Prune a run's checkpoints."""
        await self._inner.adelete_thread(thread_id)

    def get_next_version(self, current: Any, channel: None) -> Any:
        """Return the version of a channel that follows."""
        return self._inner.get_next_version(current, channel)

    def _seal(self, value: Any) -> bytes:
        kind, data = self.serde.dumps_typed(value)
        return self._sealer.seal(f"{kind} {b64encode(data).decode()}")

    def _open(self, sealed: bytes) -> Any:
        kind, data = self._sealer.open(sealed).split(" ")
        return self.serde.loads_typed((kind, b64decode(data)))

    def _opened(self, held: CheckpointTuple) -> CheckpointTuple:
        values: Mapping[str, Any] = held.checkpoint["channel_values"]
        opened = {name: self._open(value) for name, value in values.items()}
        writes = [(task, channel, self._open(value)) for task, channel, value in held.pending_writes or []]
        checkpoint: Checkpoint = {**held.checkpoint, "channel_values": opened}
        return held._replace(checkpoint=checkpoint, pending_writes=writes)
