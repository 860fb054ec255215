"""The vector store: Chroma, embedded in a folder or a server by URL; one collection per index and audience.

Collections are written once and then only read, so a query needs no filter and never sees half an index.
Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from policies.errors import ConfigError, Unavailable
from policies.types import Audience
from tools.encoder.ports import Vectors
from tools.imports import without

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

Found = list[tuple[str, float]]
"""Passage ids with their cosine similarity, nearest first."""

log = logging.getLogger("handrail.knowledge")
_BATCH = 2000
QUERY_SECONDS = 2.0
"""A server that takes longer over a query does not answer."""
BUILD_SECONDS = 60.0
REST_SECONDS = 5.0
"""For how long a store that did not answer is not asked again."""
IN_MEMORY = ":memory:"
"""Where vectors are kept that each process makes anew from the rows."""


class VectorStore:
    """Collections of passage vectors in one Chroma database."""

    def __init__(self, where: str | Path) -> None:
        self._where = str(where)
        self._client = self._call(lambda: _client(self._where, BUILD_SECONDS))
        served = "://" in self._where
        # A server may hang; then a question must not wait as long as a build may.
        self._searcher = self._call(lambda: _client(self._where, QUERY_SECONDS)) if served else self._client
        self._open: dict[str, Any] = {}
        self._rests_until = 0.0
        self._away = False

    def build(self, name: str, ids: Sequence[str], vectors: Vectors) -> None:
        """Make a collection anew; one of that name is replaced."""
        self._call(lambda: self._build(name, ids, vectors))

    def count(self, name: str) -> int:
        """Return how many vectors a collection holds, 0 if there is none."""
        return int(self._call(lambda: self._collection(name).count() if name in self._names() else 0))

    def query(self, name: str, vectors: Vectors, limit: int) -> list[Found]:
        """Return the nearest passages of each row of ``vectors``.

        Raises ``Unavailable`` when the store does not answer, and at once for ``REST_SECONDS`` after that, so that
        one question in a while finds out whether it is back.
        """
        if time.monotonic() < self._rests_until:
            raise Unavailable(f"The vector store at {self._where} did not answer a moment ago.")
        try:
            found = self._call(
                lambda: self._collection(name).query(
                    query_embeddings=vectors, n_results=limit, include=["distances"]
                )
            )
        except Unavailable as error:
            self._rest(name, error)
            raise
        if self._away:
            self._away = False
            log.warning("the vector store at %s answers again", self._where)
        return [
            [(key, 1.0 - float(distance)) for key, distance in zip(keys, distances, strict=True)]
            for keys, distances in zip(found["ids"], found["distances"], strict=True)
        ]

    def _rest(self, name: str, error: Unavailable) -> None:
        self._open.pop(name, None)
        self._rests_until = time.monotonic() + REST_SECONDS
        if not self._away:
            self._away = True
            log.warning("%s", error.message)

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
        clients = {id(each): each for each in (self._client, self._searcher)}.values()
        sessions = [session for each in clients for session in _sessions(each)]
        for client in clients:
            client.close()
        for session in sessions:
            session.close()

    def _names(self) -> list[str]:
        return [collection.name for collection in self._client.list_collections()]

    def _collection(self, name: str) -> Any:
        if name not in self._open:
            self._open[name] = self._searcher.get_collection(name, embedding_function=None)
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


def _sessions(client: ClientAPI) -> list[Any]:
    """Return the HTTP clients inside a client, of which an embedded one has none."""
    inner = (client, getattr(client, "_admin_client", None))
    return [session for each in inner if (session := getattr(getattr(each, "_server", None), "_session", None))]


def _client(where: str, seconds: float) -> ClientAPI:
    # A schema library that Chroma loads would compile a grammar of web addresses, which takes seconds and which
    # nothing here checks; it does without where it can't be imported.
    with without("rfc3987_syntax"):
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
    client = chromadb.HttpClient(host=url.hostname, port=port, ssl=secure, settings=settings)
    for session in _sessions(client):
        # The library waits for ever.
        session.timeout = seconds
    return client
