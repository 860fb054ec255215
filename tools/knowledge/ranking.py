"""From two signals to one ranking. Every number here was chosen on data: see design/knowledge.md.

Meaning is the cosine of question and passage, with some of that of the best sentence. Words are BM25 as a share
of what a passage with every word of the question could score, so they count for little when a question's words
are not the documents' own, and decide when it names an identifier. Neither is rescaled to the other's best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from policies.types import Audience
from tools.encoder.ports import Vectors
from tools.knowledge import sentences
from tools.knowledge.index import Also, Index

Scores = NDArray[np.float32]
Nearest = Callable[[Audience, int], Iterable[str]]
"""Ids of at least the given number of passages that are nearest to any part of the question."""

CANDIDATES = 100
"""How many passages each signal proposes for each part of a question."""
SENTENCE_WEIGHT = 0.25
LEXICAL_WEIGHT = 1.5
WINDOW_WORDS = 40
"""A question of more than twice as many words is searched in pieces of whole sentences, too, about that long."""
BEST_WINDOWS = 3
WHOLE_WEIGHT = 0.5


def parts(query: str) -> list[str]:
    """Return the texts to encode for a question: itself first, then its pieces if it is long."""
    if len(query.split()) <= 2 * WINDOW_WORDS:
        return [query]
    pieces: list[str] = []
    gathered: list[str] = []
    for start, end in sentences.spans(query):
        gathered.append(query[start:end])
        if sum(len(sentence.split()) for sentence in gathered) >= WINDOW_WORDS:
            pieces.append(" ".join(gathered))
            gathered = []
    return [query, *pieces, *([" ".join(gathered)] if gathered else [])]


def rank(
    index: Index,
    nearest: Nearest,
    texts: Sequence[str],
    vectors: Vectors,
    audience: Audience,
    limit: int,
    also: Also | None = None,
) -> list[tuple[int, float, float]]:
    """Return position in the index, score and similarity of the best passages, best first.

    ``texts`` are the ``parts`` of the question and ``vectors`` theirs. Equal scores keep the order of the index.
    Passages that ``also`` names follow the best ones where they are not among them.
    """
    view = index.views[audience]
    if not len(view.rows) or limit < 1:
        return []
    lexical = np.stack([view.lexical.scores(text) for text in texts])
    ceilings = np.array([view.lexical.ceiling(text) for text in texts], np.float32)
    named = np.array([*also(index)] if also else [], np.intp)
    further = np.intersect1d(named, view.rows)
    rows = np.union1d(_candidates(index, nearest, audience, lexical), further)
    lexical = lexical[:, np.searchsorted(view.rows, rows)]
    similarity = vectors @ index.vectors[rows].astype(np.float32).T
    meaning = (1 - SENTENCE_WEIGHT) * similarity + SENTENCE_WEIGHT * _best_sentences(index, rows, vectors)
    scores = combine(meaning, lexical, ceilings)
    order = np.argsort(-scores, kind="stable")
    best = [*order[:limit], *(i for i in order[limit:] if rows[i] in further)]
    return [(int(rows[i]), float(scores[i]), float(similarity[0, i])) for i in best]


def combine(meaning: Scores, lexical: Scores, ceilings: Scores) -> Scores:
    """Make one score a passage of the signals, which have shape (parts, passages).

    A long question is the mean of its best pieces for that passage, and itself. As a whole its words are compared
    with the best passage: none could hold them all.
    """
    fused = meaning + LEXICAL_WEIGHT * lexical / ceilings[:, np.newaxis]
    if len(fused) == 1:
        return np.asarray(fused[0])
    best = np.sort(fused[1:], axis=0)[-BEST_WINDOWS:].mean(axis=0)
    whole = meaning[0] + lexical[0] / max(float(lexical[0].max()), 1e-9)
    return np.asarray(best + WHOLE_WEIGHT * whole)


def _candidates(index: Index, nearest: Nearest, audience: Audience, lexical: Scores) -> NDArray[np.intp]:
    view = index.views[audience]
    found: set[int] = set()
    for whose, count in index.counts.items():
        if whose == audience or audience == "staff":
            found.update(index.positions[key] for key in nearest(whose, min(CANDIDATES, count)))
    for scores in lexical:
        best = np.argpartition(-scores, min(CANDIDATES, len(scores) - 1))[:CANDIDATES]
        found.update(view.rows[best[scores[best] > 0]].tolist())
    return np.array(sorted(found), np.intp)


def _best_sentences(index: Index, rows: NDArray[np.intp], vectors: Vectors) -> Scores:
    starts, ends = index.sentence_starts[rows], index.sentence_starts[rows + 1]
    sizes = ends - starts
    at = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    held = np.repeat(starts - at, sizes) + np.arange(int(sizes.sum()))
    similarity = vectors @ index.sentence_vectors[held].astype(np.float32).T
    return np.asarray(np.maximum.reduceat(similarity, at, axis=1))
