"""Opens an encoder by name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio.to_thread

from tools.encoder.batching import batching
from tools.encoder.fake import HashingEncoder
from tools.encoder.ports import Model, TokenEncoder

DEFAULT = "all-MiniLM-L6-v2"


@asynccontextmanager
async def open_encoder(
    name: str, cache: Path, progress: Callable[[str], None] | None = None
) -> AsyncIterator[TokenEncoder]:
    """Load an encoder in a worker thread and serve it until the context ends.

    ``name`` is ``all-MiniLM-L6-v2`` (carried by a package, no network), ``all-MiniLM-L6-v2-int8`` (half the
    latency, a little less accurate), ``hashing`` (the fake), or any sentence-transformers model or folder.
    ``progress`` is told, in that thread, what takes long. Raises ``ConfigError``.
    """
    if name == "hashing":
        yield HashingEncoder()
        return
    model = await anyio.to_thread.run_sync(partial(_load, name, cache, progress))
    async with batching(model) as encoder:
        yield encoder


def _load(name: str, cache: Path, progress: Callable[[str], None] | None) -> Model:
    if name in (DEFAULT, f"{DEFAULT}-int8"):
        from tools.encoder.minilm import load_minilm

        return load_minilm(cache, precision="int8" if name.endswith("int8") else "fp32", progress=progress)
    from tools.encoder.sentence_transformer import SentenceTransformerModel

    if progress is not None:
        progress(f"loading the encoder {name} with torch")
    return SentenceTransformerModel(name)
