"""What the rest of the house knows of retrieval: a question in, passages out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from policies.types import Audience, Passage
from tools.encoder.ports import Vectors
from tools.knowledge.index import Also


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The passages found for one question, best first, all from one index version."""

    passages: tuple[Passage, ...]
    query_vector: Vectors
    """The question's vector, of shape (dimensions,)."""
    index_version: str
    """Empty while nothing was ever ingested."""
    fallback: str | None = None
    """What was done instead of asking the vector store, which did not answer."""


class Retriever(Protocol):
    """Finds the passages that bear on a question."""

    async def search(
        self, query: str, *, audience: Audience, limit: int = 8, also: Also | None = None
    ) -> SearchResult:
        """Return at most ``limit`` passages that this audience may read, and after them those that ``also`` names.

        Customers are only ever given documents for customers; staff are given all. A vector store that does not
        answer is done without, and the result says so.
        """
        ...
