"""From two rankings to one: what each signal weighs, chosen on data (see design/knowledge.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies.types import Audience
from tools.encoder.ports import Vectors
from tools.knowledge.index import Index
from tools.knowledge.rows import Scope
from tools.knowledge.vectors import VectorStore, collection_name

Scores = NDArray[np.float32]

CANDIDATES = 100
"""How many passages each signal proposes."""

DENSE_WEIGHT = 0.6


def fuse(dense: Scores, lexical: Scores) -> Scores:
    """Add the two signals up, each scaled to 0..1 over the candidates."""
    return DENSE_WEIGHT * scaled(dense) + (1 - DENSE_WEIGHT) * scaled(lexical)


def scaled(scores: Scores) -> Scores:
    """Scale so that the lowest is 0 and the highest 1; equal scores are all 0."""
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def parts(query: str) -> list[str]:
    """Return the texts to encode for a query: itself first."""
    return [query]


def rank(
    index: Index,
    store: VectorStore,
    scope: Scope,
    query: str,
    vectors: Vectors,
    audience: Audience,
    limit: int,
) -> list[tuple[int, float, float]]:
    """Return position, score and similarity of the best passages, best first; blocks."""
    view = index.views[audience]
    if not len(view.rows) or limit < 1:
        return []
    lexical = view.lexical.scores(query)
    candidates = _candidates(index, store, scope, vectors, audience, lexical)
    at = np.searchsorted(view.rows, candidates)
    similarity = (index.vectors[candidates].astype(np.float32) @ vectors.T).max(axis=1)
    fused = fuse(similarity, lexical[at])
    order = np.lexsort((candidates, -fused))[:limit]
    return [(int(candidates[i]), float(fused[i]), float(similarity[i])) for i in order]


def _candidates(
    index: Index, store: VectorStore, scope: Scope, vectors: Vectors, audience: Audience, lexical: Scores
) -> NDArray[np.intp]:
    view = index.views[audience]
    found: set[int] = set()
    for each in ("customer", "staff") if audience == "staff" else ("customer",):
        held = index.counts[each]
        if held:
            name = collection_name(scope.workspace_id, scope.assistant, index.version, each)
            for nearest in store.query(name, vectors, min(CANDIDATES, held)):
                found.update(index.positions[key] for key, _ in nearest)
    best = np.argpartition(-lexical, min(CANDIDATES, len(lexical) - 1))[:CANDIDATES]
    found.update(int(row) for row in view.rows[best[lexical[best] > 0]])
    return np.array(sorted(found), np.intp)
