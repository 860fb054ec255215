"""What a message is about tells where to look: intents' examples as a bridge from customers' words to documents.

A customer's wording is often nearer to an intent's examples than to the document that answers. Each intent's
examples are compared with the passages of the index, which gives for each intent how likely each document is
meant; the router's probabilities then weigh those. Chosen on the sample's dev questions: design/knowledge.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from policies.types import Audience, Intent, Passage
from tools.encoder.ports import Encoder, Vectors
from tools.knowledge.base import Knowledge
from tools.knowledge.index import Index
from tools.knowledge.ports import SearchResult

Likely = Sequence[tuple[str, float]]
TEMPERATURE = 0.06
WEIGHT = 0.8
CANDIDATES = 24


@dataclass(frozen=True, kw_only=True)
class _Leaning:
    """How likely each intent means each document of one index version."""

    version: str
    documents: Mapping[str, int]
    shares: NDArray[np.float32]
    """One row per intent, one column per document; rows sum to 1."""


class TopicSearcher:
    """Searches an assistant's knowledge and leans towards the documents that the likely intents mean."""

    def __init__(self, knowledge: Knowledge, examples: Mapping[str, Vectors]) -> None:
        self._knowledge = knowledge
        self._examples = examples
        self._numbers = {name: number for number, name in enumerate(examples)}
        self._leaning: _Leaning | None = None

    @classmethod
    async def learn(cls, knowledge: Knowledge, intents: Sequence[Intent], encoder: Encoder) -> TopicSearcher:
        """Encode the intents' examples; documents are compared when an index version is first searched."""
        return cls(knowledge, {intent.name: await encoder.encode(intent.examples) for intent in intents})

    async def search(self, query: str, *, audience: Audience, limit: int = 8, likely: Likely = ()) -> SearchResult:
        """Return the nearest passages, as ``Retriever.search`` says; ``likely`` has intents with probabilities."""
        result = await self._knowledge.search(query, audience=audience, limit=max(limit, CANDIDATES))
        if not likely or not result.passages:
            return replace(result, passages=result.passages[:limit])
        leaning = await self._for(await self._knowledge.index())
        prior = sum(share * leaning.shares[self._numbers[name]] for name, share in likely)
        return replace(result, passages=_leaned(result.passages, leaning.documents, np.asarray(prior))[:limit])

    async def _for(self, index: Index) -> _Leaning:
        if self._leaning is None or self._leaning.version != index.version:
            self._leaning = await anyio.to_thread.run_sync(partial(_compare, index, list(self._examples.values())))
        return self._leaning


def _leaned(
    passages: Sequence[Passage], documents: Mapping[str, int], prior: NDArray[np.float32]
) -> tuple[Passage, ...]:
    """Add to each score what its document is likely to be meant; unknown documents get nothing."""
    roots = np.sqrt(prior)
    scored = [
        replace(each, score=each.score + WEIGHT * float(roots[documents[each.document]]))
        if each.document in documents
        else each
        for each in passages
    ]
    return tuple(sorted(scored, key=lambda each: -each.score))


def _compare(index: Index, examples: Sequence[Vectors]) -> _Leaning:
    names = sorted({passage.document for passage in index.passages if passage.audience == "customer"})
    documents = {name: number for number, name in enumerate(names)}
    rows = [
        (row, documents[passage.document])
        for row, passage in enumerate(index.passages)
        if passage.audience == "customer"
    ]
    order = np.array(sorted(rows, key=lambda pair: pair[1]), np.intp).reshape(-1, 2)
    starts = np.searchsorted(order[:, 1], np.arange(len(names)))
    vectors = index.vectors[order[:, 0]].astype(np.float32)
    shares = [_shares(np.maximum.reduceat(each @ vectors.T, starts, axis=1)) for each in examples]
    return _Leaning(version=index.version, documents=documents, shares=np.stack(shares))


def _shares(nearness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over examples of a softmax over documents."""
    odds = np.exp((nearness - nearness.max(axis=1, keepdims=True)) / TEMPERATURE)
    shares: NDArray[np.float32] = (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares
