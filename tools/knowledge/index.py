"""One index version in memory: passages, their vectors and the lexical index of each audience.

An index never changes; a new version is another object, and a search keeps the one it began with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.types import Audience, Passage
from tools.encoder.ports import Vectors
from tools.knowledge.chunking import Chunk, chunk_text
from tools.knowledge.documents import LoadedDocument
from tools.knowledge.lexical import LexicalIndex

Halves = NDArray[np.float16]


@dataclass(frozen=True, kw_only=True)
class View:
    """What one audience may see of an index."""

    rows: NDArray[np.intp]
    """Positions in ``Index.passages``, ascending."""
    lexical: LexicalIndex


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index version that is ready to be searched."""

    version: str
    passages: tuple[Passage, ...]
    positions: Mapping[str, int]
    """Position of each passage id in ``passages``."""
    vectors: Halves
    sentence_vectors: Halves
    matching_vectors: Halves
    """Of the same sentences, as ``tools.encoder.ports.MatchingEncoder.encoded`` gives them."""
    sentence_starts: NDArray[np.intp]
    """Sentences of passage i are the rows from ``[i]`` to ``[i + 1]`` of both."""
    views: Mapping[Audience, View]
    counts: Mapping[Audience, int]
    """Passages that are written for exactly this audience."""

    def sentences_of(self, position: int) -> Vectors:
        """Return the sentence vectors of a passage."""
        return self.sentence_vectors[self._sentences(position)].astype(np.float32)

    def matching_of(self, position: int) -> Vectors:
        """Return the matching vectors of a passage's sentences."""
        return self.matching_vectors[self._sentences(position)].astype(np.float32)

    def _sentences(self, position: int) -> slice:
        return slice(self.sentence_starts[position], self.sentence_starts[position + 1])

    def rows_for(self, audience: Audience) -> NDArray[np.intp]:
        """Return the positions of the passages that are written for exactly this audience."""
        return np.array([i for i, passage in enumerate(self.passages) if passage.audience == audience], np.intp)


Also = Callable[[Index], Collection[int]]
"""Names further passages to look at, by their positions."""


def build_index(version: str, rows: Iterable[dict[str, Any]], dimensions: int) -> Index:
    """Make an index of rows of the database, as ``rows.chunks_in`` yields them."""
    passages: list[Passage] = []
    texts: list[str] = []
    vectors: list[Halves] = []
    sentences: list[Halves] = []
    matching: list[Halves] = []
    for row in rows:
        passages.append(_passage(version, row))
        texts.append(_indexed(row))
        vectors.append(np.frombuffer(row["vector"], np.float16))
        sentences.append(np.frombuffer(row["sentence_vectors"], np.float16).reshape(-1, dimensions))
        # Rows of before there were such vectors have none (on SQLite an empty text); an encoder that knows them
        # has another id since.
        own = row["matching_vectors"] or row["sentence_vectors"]
        matching.append(np.frombuffer(own, np.float16).reshape(-1, dimensions))
    return Index(
        version=version,
        passages=tuple(passages),
        positions={passage.id: position for position, passage in enumerate(passages)},
        vectors=np.stack(vectors) if vectors else np.zeros((0, dimensions), np.float16),
        sentence_vectors=_stacked(sentences, dimensions),
        matching_vectors=_stacked(matching, dimensions),
        sentence_starts=np.cumsum([0, *(len(each) for each in sentences)]),
        views=_views(passages, texts),
        counts=Counter(passage.audience for passage in passages),
    )


def _stacked(rows: list[Halves], dimensions: int) -> Halves:
    return np.concatenate(rows) if rows else np.zeros((0, dimensions), np.float16)


def _views(passages: list[Passage], texts: list[str]) -> dict[Audience, View]:
    every = np.arange(len(passages))
    public = np.array([i for i in every if passages[i].audience == "customer"], np.intp)
    staff = View(rows=every, lexical=LexicalIndex(texts))
    if len(public) == len(every):
        return {"customer": staff, "staff": staff}
    return {"customer": View(rows=public, lexical=LexicalIndex([texts[i] for i in public])), "staff": staff}


def _passage(version: str, row: dict[str, Any]) -> Passage:
    return Passage(
        id=f"{row['document_version']}:{row['ordinal']}",
        document=row["path"],
        document_version=row["document_version"],
        title=row["title"],
        heading=row["heading"],
        text=row["text"],
        start=row["start"],
        end=row["end"],
        index_version=version,
        audience=row["audience"],
        sentences=tuple((start, end) for start, end in row["sentences"]),
    )


def _indexed(row: dict[str, Any]) -> str:
    piece = Chunk(
        heading=row["heading"],
        text=row["text"],
        start=row["start"],
        end=row["end"],
        sentences=tuple((start, end) for start, end in row["sentences"]),
    )
    about = LoadedDocument(
        path=row["path"],
        title=row["title"],
        audience=row["audience"],
        media_type=row["media_type"],
        text="",
        blocks=(),
    )
    return chunk_text(about, piece)
