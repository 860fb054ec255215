"""A retriever without a database or a vector store, for tests and offline evals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from policies.types import Audience
from tools.encoder.fake import HashingEncoder
from tools.encoder.ports import Encoder, Vectors, encoded
from tools.knowledge import chunking, loaders
from tools.knowledge.documents import LoadedDocument, Record
from tools.knowledge.index import Also, Index, build_index
from tools.knowledge.ports import SearchResult
from tools.knowledge.ranking import parts, rank


class InMemoryRetriever:
    """Searches documents given as texts, with the same ranking as the real one and exact neighbours.

    ``files`` maps paths (``returns.md``, ``staff/limits.txt``) to their content.
    """

    def __init__(
        self, files: Mapping[str, str], *, records: Iterable[Record] = (), encoder: Encoder | None = None
    ) -> None:
        self._encoder = encoder or HashingEncoder()
        self._documents = [loaders.load(path, text.encode()) for path, text in sorted(files.items())]
        self._documents += [chunking.record_document(record) for record in records]
        self._index: Index | None = None

    async def search(
        self, query: str, *, audience: Audience, limit: int = 8, also: Also | None = None
    ) -> SearchResult:
        """Return at most ``limit`` passages, as ``Retriever.search`` says, and those that ``also`` names."""
        index = self._index = self._index or await self._build()
        texts = parts(query)
        vectors = await self._encoder.encode(texts)

        def nearest(whose: Audience, count: int) -> list[str]:
            held = [i for i, passage in enumerate(index.passages) if passage.audience == whose]
            similarity = (index.vectors[held] @ vectors.T).max(axis=1)
            return [index.passages[held[i]].id for i in np.argsort(-similarity)[:count]]

        best = rank(index, nearest, texts, vectors, audience, limit, also)
        return SearchResult(
            passages=tuple(replace(index.passages[row], score=score, similarity=s) for row, score, s in best),
            query_vector=vectors[0],
            index_version=index.version,
        )

    async def _build(self) -> Index:
        rows = [row for document in self._documents for row in await self._rows(document)]
        return build_index("idx_memory", rows, self._encoder.dimensions)

    async def _rows(self, document: LoadedDocument) -> list[dict[str, Any]]:
        pieces = chunking.chunk(document)
        vectors = await self._encoder.encode([chunking.chunk_text(document, piece) for piece in pieces])
        read = [await encoded(self._encoder, chunking.sentence_texts(document, piece)) for piece in pieces]
        return [
            {
                **{name: getattr(document, name) for name in ("path", "title", "audience", "media_type")},
                **{name: getattr(piece, name) for name in ("heading", "text", "start", "end", "sentences")},
                "document_version": document.path,
                "ordinal": ordinal,
                "vector": _bytes(vectors[ordinal]),
                "sentence_vectors": _bytes(read[ordinal].vectors),
                "matching_vectors": _bytes(read[ordinal].matching),
            }
            for ordinal, piece in enumerate(pieces)
        ]


def _bytes(vectors: Vectors) -> bytes:
    return vectors.astype(np.float16).tobytes()
