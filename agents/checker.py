"""The checker: whether a drafted sentence may leave, and whether a whole answer may.

Sentences are put to all guards that policy binds; a whole answer must answer and must not contradict itself.
``design/checker.md`` has the order of the checks and the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from policies.guards import GuardRequest, Guards
from policies.types import Outcome, Passage, Reason, Sentence, Verdict
from tools.evidence import SHARED, likelihood
from tools.models.mandate import Mandate
from tools.support import contained, contradict

ANSWERING = 0.1
"""Below this probability that the answer answers, a person gets the question."""


@dataclass(frozen=True, kw_only=True)
class SentenceRequest:
    """One sentence with the passages that it may cite."""

    sentence: Sentence
    passages: tuple[Passage, ...]
    question: str = ""
    language: str = ""
    """The customer's language, ISO 639-1; empty when nobody said."""
    own: bool = False
    """Whether these are policy's own words."""
    placeholders: frozenset[str] = frozenset()
    """The placeholders of this conversation."""
    mandate: Mandate | None = None


@dataclass(frozen=True, kw_only=True)
class AnswerRequest:
    """A whole answer with its question."""

    question: str
    sentences: tuple[Sentence, ...]
    passages: tuple[Passage, ...]
    mandate: Mandate | None = None


class LocalChecker:
    """Checks sentences and answers without a language model."""

    def __init__(self, guards: Guards, *, answering: float = ANSWERING) -> None:
        self._guards = guards
        self._answering = answering

    async def sentence(self, request: SentenceRequest) -> Verdict:
        """Put one sentence to the guards; the strictest effect of those that fail holds."""
        found = await self._guards.check(
            GuardRequest(
                stage="output",
                text=request.sentence.text,
                language=request.language,
                question=request.question,
                citations=request.sentence.citations,
                passages=request.passages,
                own=request.own,
                placeholders=request.placeholders,
            )
        )
        return Verdict(
            outcome=found.outcome,
            score=1 - max((each.score for each in found.failed), default=0.0),
            reasons=tuple(each.reason for each in found.failed),
        )

    async def answer(self, request: AnswerRequest) -> Verdict:
        """Check a whole answer: ``ESCALATE`` if it is none, ``REVIEW`` if it contradicts itself."""
        texts = [sentence.text for sentence in request.sentences if sentence.text.strip()]
        if not texts:
            return _escalated("check.empty", "There is no answer.", 0.0)
        score = _answers(request)
        if score < self._answering:
            return _escalated("check.not_answered", f"It hardly answers the question ({score:.0%}).", score)
        return replace(contradiction(texts) or Verdict(outcome=Outcome.PASS), score=score)


def contradiction(texts: Sequence[str]) -> Verdict | None:
    """Return the verdict on sentences of which two exclude each other, or None."""
    if not any(contradict(one, other) for one, other in combinations(texts, 2)):
        return None
    reason = Reason(code="check.contradiction", text="Two of its sentences exclude each other.")
    return Verdict(outcome=Outcome.REVIEW, reasons=(reason,))


def _answers(request: AnswerRequest) -> float:
    cited = {citation.passage_id for sentence in request.sentences for citation in sentence.citations}
    similarity = max((each.similarity for each in request.passages if each.id in cited), default=0.0)
    reply = " ".join(sentence.text for sentence in request.sentences)
    return likelihood(similarity + SHARED * contained(request.question, reply), similarity)


def _escalated(code: str, text: str, score: float) -> Verdict:
    return Verdict(outcome=Outcome.ESCALATE, score=score, reasons=(Reason(code=code, text=text),))
