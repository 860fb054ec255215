"""The knowledge of all assistants: ingest, search and lineage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from policies.errors import ConfigError, Conflict, NotFound, Unavailable
from policies.types import Audience
from tools.clock import Clock, Ids, SystemClock, TimeOrderedIds
from tools.encoder.ports import Encoder, Vectors
from tools.knowledge import ingest, rows
from tools.knowledge.documents import Record
from tools.knowledge.exact import ExactSearch
from tools.knowledge.index import Also, Index, build_index
from tools.knowledge.ingest import IngestReport, Progress, Workshop
from tools.knowledge.ports import SearchResult
from tools.knowledge.ranking import parts, rank
from tools.knowledge.rows import DocumentVersion, Scope, Version
from tools.knowledge.vectors import VectorStore, collection_name
from tools.metrics import FALLBACKS
from tools.storage.database import Database

_THREADS = 4
FALLBACK = "exact search in memory"


class Knowledge:
    """What one assistant of one workspace knows; a ``Retriever``."""

    def __init__(self, shop: Workshop, scope: Scope, threads: anyio.CapacityLimiter) -> None:
        self._shop = shop
        self._scope = scope
        self._threads = threads
        self._index: Index | None = None
        self._exact: ExactSearch | None = None
        self._loading = anyio.Lock()
        self._ingesting = anyio.Lock()

    async def search(
        self, query: str, *, audience: Audience, limit: int = 8, also: Also | None = None
    ) -> SearchResult:
        """Return at most ``limit`` passages, as ``Retriever.search`` says, and those that ``also`` names.

        Raises ``ConfigError`` if the index was made with another encoder.
        """
        index = await self.index()
        texts = parts(query)
        vectors = await self._shop.encoder.encode(texts)
        nearest = _Nearest(self._shop.store, self._scope, self._exact_search(index), vectors)
        found = partial(rank, index, nearest, texts, vectors, audience, limit, also)
        best = await anyio.to_thread.run_sync(found, limiter=self._threads)
        passages = [
            replace(index.passages[row], score=score, similarity=similarity) for row, score, similarity in best
        ]
        return SearchResult(
            passages=tuple(passages),
            query_vector=vectors[0],
            index_version=index.version,
            fallback=nearest.fallback,
        )

    def _exact_search(self, index: Index) -> ExactSearch:
        if self._exact is None or self._exact.index is not index:
            self._exact = ExactSearch(index)
        return self._exact

    async def ingest(self, folder: Path, progress: Callable[[Progress], None] | None = None) -> IngestReport:
        """Bring the index up to date with a folder; questions are answered from the old version meanwhile.

        ``progress`` is called on the event loop after each batch of chunks.
        """
        async with self._ingesting:
            report, index = await ingest.ingest_folder(self._shop, self._scope, folder, progress)
            self._index = index or self._index
            return report

    async def ingest_records(
        self, records: Iterable[Record], progress: Callable[[Progress], None] | None = None
    ) -> IngestReport:
        """Make the index hold exactly these records, each one chunk; ``Passage.document`` is the record's id."""
        async with self._ingesting:
            report, index = await ingest.ingest_records(self._shop, self._scope, records, progress)
            self._index = index or self._index
            return report

    async def rollback(self) -> str:
        """Bring the previous index version back and return its id; raises ``Conflict`` if none can be used."""
        async with self._ingesting:
            previous = await self._shop.database.read(
                partial(rows.version_in, scope=self._scope, status="previous")
            )
            if previous is None:
                raise Conflict("There is no previous index version.", remedy="Ingest the folder as it was.")
            if previous.encoder != self._shop.encoder.id:
                raise Conflict(
                    "The previous index version was made with another encoder.",
                    remedy="Ingest the folder as it was.",
                )
            index = await self._load(previous)
            await self._shop.database.write(partial(rows.swap, scope=self._scope))
            self._index = index
            return previous.id

    async def index(self) -> Index:
        """Return the active index, read from the database at first use."""
        if self._index is None:
            async with self._loading:
                if self._index is None:
                    active = await self._shop.database.read(
                        partial(rows.version_in, scope=self._scope, status="active")
                    )
                    loaded = await self._load(active) if active else _empty(self._shop.encoder)
                    self._index = self._index or loaded
        return self._index

    async def renew(self) -> None:
        """Have no passages, until an ingest, where the active index was made with another encoder."""
        active = await self._shop.database.read(partial(rows.version_in, scope=self._scope, status="active"))
        if active and active.encoder != self._shop.encoder.id:
            # Named as that one, so that it is not taken for a newer one which another process has made.
            self._index = build_index(active.id, [], self._shop.encoder.dimensions)

    async def refresh(self) -> bool:
        """Take over the version that another process has made active; return whether there was a newer one."""
        if self._index is None or self._ingesting.locked():
            return False
        active = await self._shop.database.read(partial(rows.version_in, scope=self._scope, status="active"))
        if active is None or active.id == self._index.version:
            return False
        async with self._ingesting:
            self._index = await self._load(active)
        return True

    async def documents(self) -> list[DocumentVersion]:
        """Return the documents of the active index version, by path and without their texts."""
        version = (await self.index()).version
        return await self._shop.database.read(partial(rows.documents_in, scope=self._scope, version=version))

    async def document(self, version: str) -> DocumentVersion:
        """Return a document version with its text, also one that is in no index any more; or ``NotFound``."""
        found = await self._shop.database.read(partial(rows.document, scope=self._scope, version=version))
        if found is None:
            raise NotFound(f"There is no document version {version}.")
        return found

    async def lineage(self, path: str) -> list[DocumentVersion]:
        """Return every version of a document, newest first, without their texts."""
        return await self._shop.database.read(partial(rows.lineage, scope=self._scope, path=path))

    async def versions(self) -> list[Version]:
        """Return the index versions, newest first."""
        return await self._shop.database.read(partial(rows.versions, scope=self._scope))

    async def _load(self, version: Version) -> Index:
        if version.encoder != self._shop.encoder.id:
            raise ConfigError(
                f"The index of {self._scope.assistant} was made with the encoder {version.encoder}, "
                f"not {self._shop.encoder.id}.",
                remedy="Ingest the folder again: `handrail ingest`.",
            )
        index = await ingest.load_index(self._shop, self._scope, version.id)
        build = partial(ingest.build_collections, self._shop.store, self._scope, index, missing_only=True)
        await anyio.to_thread.run_sync(build, limiter=self._threads)
        return index


@dataclass
class _Nearest:
    """The passages nearest to a question's parts: from the vector store, or from memory while that is away."""

    store: VectorStore
    scope: Scope
    exact: ExactSearch
    vectors: Vectors
    fallback: str | None = None

    def __call__(self, whose: Audience, count: int) -> set[str]:
        if self.fallback is None:
            version = self.exact.index.version
            name = collection_name(self.scope.workspace_id, self.scope.assistant, version, whose)
            try:
                return {key for found in self.store.query(name, self.vectors, count) for key, _ in found}
            except Unavailable:
                self.fallback = FALLBACK
                FALLBACKS.labels("vector_store").inc()
        return self.exact.nearest(self.vectors, whose, count)


class KnowledgeBase:
    """The knowledge of every workspace and assistant; made by ``open_knowledge``."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._known: dict[Scope, Knowledge] = {}

    def of(self, workspace_id: str, assistant: str) -> Knowledge:
        """Return an assistant's knowledge, always the same object; it is empty until something is ingested."""
        scope = Scope(workspace_id=workspace_id, assistant=assistant)
        if scope not in self._known:
            self._known[scope] = Knowledge(self._shop, scope, self._threads)
        return self._known[scope]


@asynccontextmanager
async def open_knowledge(
    database: Database,
    encoder: Encoder,
    chroma: str | Path,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    open_store: Callable[[str | Path], VectorStore] = VectorStore,
) -> AsyncIterator[KnowledgeBase]:
    """Open the knowledge base; ``chroma`` is a folder, or the URL of a Chroma server.

    Raises ``Unavailable`` if the server does not answer.
    """
    store = await anyio.to_thread.run_sync(open_store, chroma)
    shop = Workshop(
        database=database, encoder=encoder, store=store, clock=clock or SystemClock(), ids=ids or TimeOrderedIds()
    )
    try:
        yield KnowledgeBase(shop)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(store.close)


def _empty(encoder: Encoder) -> Index:
    return build_index("", [], encoder.dimensions)
