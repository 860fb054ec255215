"""How well each sentence of some passages answers a question, and whether any does.

Numbers only: vectors, word overlap and what kind of thing is asked for. The drafter quotes by them and the
checker judges a whole answer by them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.questions import asks, gives
from policies.types import Passage
from tools.encoder.ports import Vectors
from tools.knowledge.lexical import terms
from tools.knowledge.quoting import quote

Features = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A sentence that could be quoted."""

    passage: int
    """Position of its passage among those given."""
    sentence: int
    """Position in its passage."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Every sentence of the passages with what speaks for it."""

    candidates: tuple[Candidate, ...]
    scores: Features
    probability: float
    """That the best sentences answer the question, 0 to 1."""


WEIGHTS = np.array([0.6, 0.5, 0.35, 0.15], np.float32)
"""Similarity of the sentence, similarity of the passage, share of the question's words, kind of answer."""


def weigh(question: str, passages: Sequence[Passage], vectors: Mapping[str, Vectors], query: Vectors) -> Evidence:
    """Weigh every sentence; ``vectors`` has one unit row for each sentence of each passage."""
    candidates = sentences_of(passages)
    if not candidates:
        return Evidence(candidates=(), scores=np.zeros(0, np.float32), probability=0.0)
    rows = np.concatenate([vectors[passage.id] for passage in passages])
    nearness = rows @ query
    around = np.array([passages[each.passage].similarity for each in candidates], np.float32)
    shared = _coverage(question, passages, candidates)
    fitting = _fitting(question, candidates)
    scores = np.stack([nearness, around, shared, fitting], axis=1) @ WEIGHTS
    best = int(scores.argmax())
    z = 8.0 * (float(nearness[best]) - 0.42) + 4.0 * (float(shared[best]) - 0.25)
    return Evidence(candidates=candidates, scores=scores, probability=1 / (1 + math.exp(-z)))


def sentences_of(passages: Sequence[Passage]) -> tuple[Candidate, ...]:
    """Return the sentences of passages as they are quoted."""
    return tuple(
        Candidate(passage=p, sentence=s, text=quote(passage.text, start, end))
        for p, passage in enumerate(passages)
        for s, (start, end) in enumerate(passage.sentences)
    )


def _coverage(question: str, passages: Sequence[Passage], candidates: Sequence[Candidate]) -> Features:
    asked = set(terms(question))
    above = [set(terms(f"{passage.title} {passage.heading}")) & asked for passage in passages]
    held = [(set(terms(each.text)) & asked) | above[each.passage] for each in candidates]
    spread = Counter(term for each in held for term in each)
    weight = {term: math.log(1 + len(candidates) / (spread[term] + 0.5)) for term in asked}
    total = sum(weight.values()) or 1.0
    return np.array([sum(weight[term] for term in each) / total for each in held], np.float32)


def _fitting(question: str, candidates: Sequence[Candidate]) -> Features:
    asked = asks(question)
    if not asked:
        return np.zeros(len(candidates), np.float32)
    return np.array([len(gives(each.text) & asked) / len(asked) for each in candidates], np.float32)
