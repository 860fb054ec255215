"""The drafter: an answer made of quoted sentences, or an abstention."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from policies.types import Abstention, Citation, Passage, Route, Sentence, Turn
from tools.encoder.ports import Encoder, Vectors
from tools.evidence import Candidate, Evidence, sentences_of, weigh

VectorsOf = Callable[[Sequence[Passage]], Awaitable[Mapping[str, Vectors]]]
"""Looks up the sentence vectors of passages by id; what it does not know is encoded."""

MOST_SENTENCES = 3
CLOSE = 0.12
ENOUGH = 0.35


@dataclass(frozen=True, kw_only=True)
class DraftRequest:
    """What a draft is made from."""

    question: str
    history: tuple[Turn, ...]
    passages: tuple[Passage, ...]
    route: Route
    rejected: tuple[str, ...] = ()
    """Sentences that a check refused; the draft must do without them."""


class LocalDrafter:
    """Quotes the sentences that answer best, word for word; no language model."""

    def __init__(self, encoder: Encoder, vectors_of: VectorsOf | None = None, *, enough: float = ENOUGH) -> None:
        self._encoder = encoder
        self._vectors_of = vectors_of
        self._enough = enough

    async def __call__(self, request: DraftRequest) -> AsyncIterator[Sentence | Abstention]:
        """Yield the sentences of an answer, or one abstention."""
        evidence = await self._evidence(request)
        if evidence.probability < self._enough:
            yield _abstention(evidence.probability)
            return
        for each in _chosen(evidence, set(request.rejected)):
            yield _quoted(each, request.passages[each.passage])

    async def _evidence(self, request: DraftRequest) -> Evidence:
        query = (await self._encoder.encode([request.question]))[0]
        vectors = await self._vectors(request.passages)
        return weigh(request.question, request.passages, vectors, query)

    async def _vectors(self, passages: Sequence[Passage]) -> Mapping[str, Vectors]:
        found = dict(await self._vectors_of(passages)) if self._vectors_of else {}
        lacking = [passage for passage in passages if passage.id not in found]
        texts = [each.text for each in sentences_of(lacking)]
        if texts:
            rows = await self._encoder.encode(texts)
            cuts = np.cumsum([len(passage.sentences) for passage in lacking])[:-1]
            parts = np.split(rows, cuts)
            found.update((passage.id, part) for passage, part in zip(lacking, parts, strict=True))
        return found


def _chosen(evidence: Evidence, rejected: set[str]) -> list[Candidate]:
    order = [n for n in np.argsort(-evidence.scores) if evidence.candidates[n].text not in rejected]
    if not order:
        return []
    best = evidence.candidates[order[0]]
    floor = evidence.scores[order[0]] - CLOSE
    near = [evidence.candidates[n] for n in order if evidence.scores[n] >= floor]
    same = [each for each in near if each.passage == best.passage][:MOST_SENTENCES]
    return sorted(same, key=lambda each: each.sentence)


def _quoted(candidate: Candidate, passage: Passage) -> Sentence:
    start, end = passage.sentences[candidate.sentence]
    citation = Citation(
        passage_id=passage.id,
        document=passage.document,
        document_version=passage.document_version,
        title=passage.title,
        quote=candidate.text,
        start=passage.start + start,
        end=passage.start + end,
    )
    return Sentence(text=candidate.text, citations=(citation,))


def _abstention(probability: float) -> Abstention:
    text = f"Nothing found answers the question well enough ({probability:.0%})."
    return Abstention(code="draft.no_answer", text=text, confidence=probability)
