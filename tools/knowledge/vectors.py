"""The vector store: Chroma, embedded in a folder or a server by URL; one collection per index and audience.

Collections are written once and then only read, so a query needs no filter and never sees half an index.
Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from policies.errors import ConfigError, Unavailable
from policies.types import Audience
from tools.encoder.ports import Vectors

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

Found = list[tuple[str, float]]
"""Passage ids with their cosine similarity, nearest first."""

_BATCH = 2000
IN_MEMORY = ":memory:"
"""Where vectors are kept that each process makes anew from the rows."""


class VectorStore:
    """Collections of passage vectors in one Chroma database."""

    def __init__(self, where: str | Path) -> None:
        self._where = str(where)
        self._client = self._call(lambda: _client(self._where))
        self._open: dict[str, Any] = {}

    def build(self, name: str, ids: Sequence[str], vectors: Vectors) -> None:
        """Make a collection anew; one of that name is replaced."""
        self._call(lambda: self._build(name, ids, vectors))

    def count(self, name: str) -> int:
        """Return how many vectors a collection holds, 0 if there is none."""
        return int(self._call(lambda: self._collection(name).count() if name in self._names() else 0))

    def query(self, name: str, vectors: Vectors, limit: int) -> list[Found]:
        """Return the nearest passages of each row of ``vectors``."""
        found = self._call(
            lambda: self._collection(name).query(query_embeddings=vectors, n_results=limit, include=["distances"])
        )
        return [
            [(key, 1.0 - float(distance)) for key, distance in zip(keys, distances, strict=True)]
            for keys, distances in zip(found["ids"], found["distances"], strict=True)
        ]

    def drop(self, prefix: str) -> None:
        """Delete the collections whose names begin so."""
        for name in self._call(self._names):
            if name.startswith(prefix):
                self._open.pop(name, None)
                self._call(lambda name=name: self._client.delete_collection(name))

    def close(self) -> None:
        """Let go of the client, and of the files if it is embedded."""
        self._open.clear()
        # The library forgets its own HTTP clients when it closes.
        inner = (self._client, getattr(self._client, "_admin_client", None))
        sessions = [getattr(getattr(each, "_server", None), "_session", None) for each in inner]
        self._client.close()
        for session in filter(None, sessions):
            session.close()

    def _names(self) -> list[str]:
        return [collection.name for collection in self._client.list_collections()]

    def _collection(self, name: str) -> Any:
        if name not in self._open:
            self._open[name] = self._client.get_collection(name, embedding_function=None)
        return self._open[name]

    def _build(self, name: str, ids: Sequence[str], vectors: Vectors) -> None:
        self._open.pop(name, None)
        if name in self._names():
            self._client.delete_collection(name)
        collection = self._client.create_collection(
            name, embedding_function=None, configuration={"hnsw": {"space": "cosine", "ef_search": 200}}
        )
        for start in range(0, len(ids), _BATCH):
            part = slice(start, start + _BATCH)
            collection.add(ids=list(ids[part]), embeddings=np.asarray(vectors[part], np.float32))

    def _call(self, work: Any) -> Any:
        try:
            return work()
        except (ConfigError, Unavailable):
            raise
        except Exception as error:
            raise Unavailable(
                f"The vector store at {self._where} does not answer: {error}",
                remedy="Check that Chroma runs and can be reached; an embedded one needs a writable folder.",
            ) from error


def collection_name(workspace_id: str, assistant: str, index_version: str, audience: Audience | None) -> str:
    """Name the collection of an index version for an audience; without one, the prefix of all of them."""
    owner = hashlib.sha256(f"{workspace_id}\x00{assistant}".encode()).hexdigest()[:16]
    return f"handrail-{owner}-{index_version}-{audience or ''}"


def _client(where: str) -> ClientAPI:
    import chromadb
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False)
    if where == IN_MEMORY:
        return chromadb.EphemeralClient(settings=settings)
    if "://" not in where:
        Path(where).mkdir(parents=True, exist_ok=True)
        return chromadb.PersistentClient(path=where, settings=settings)
    url = urlsplit(where)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(f"{where!r} is not an address of a Chroma server.", remedy="Write http://host:8000.")
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 8000)
    return chromadb.HttpClient(host=url.hostname, port=port, ssl=secure, settings=settings)
