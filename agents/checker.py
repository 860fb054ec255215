"""The checker: whether a drafted sentence is supported, and whether a whole answer may leave.

What is quoted whole and unchanged passes without a look at its meaning; everything else is compared with the
passages it cites. ``design/checker.md`` has the order of the checks and the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.types import Citation, Outcome, Passage, Reason, Sentence, Verdict
from tools.encoder.ports import Encoder
from tools.knowledge import sentences as splitter
from tools.knowledge.quoting import clean, quote
from tools.support import weigh_support

VERBATIM = 0.99
SUPPORTED = 0.5
_NO_CITATION = "The sentence cites nothing."
_UNSUPPORTED = "The cited passages do not bear it out."


@dataclass(frozen=True, kw_only=True)
class SentenceRequest:
    """One sentence with the passages that it may cite."""

    sentence: Sentence
    passages: tuple[Passage, ...]


@dataclass(frozen=True, kw_only=True)
class AnswerRequest:
    """A whole answer with its question."""

    question: str
    sentences: tuple[Sentence, ...]
    passages: tuple[Passage, ...]


class LocalChecker:
    """Checks sentences and answers without a language model."""

    def __init__(self, encoder: Encoder, *, supported: float = SUPPORTED) -> None:
        self._encoder = encoder
        self._supported = supported

    async def sentence(self, request: SentenceRequest) -> Verdict:
        """Check one sentence against the passages that it cites; anything but a pass is ``REVISE``."""
        sentence = request.sentence
        if not sentence.citations:
            return _refused("check.no_citation", _NO_CITATION)
        known = {passage.id: passage for passage in request.passages}
        problems = [problem for each in sentence.citations if (problem := _citation_problem(each, known))]
        if problems:
            return Verdict(outcome=Outcome.REVISE, score=0.0, reasons=tuple(problems))
        if _is_quoted_whole(sentence, known):
            return Verdict(outcome=Outcome.PASS, score=VERBATIM)
        cited = [known[each.passage_id] for each in sentence.citations]
        return await self._compared(sentence.text, _sentences_of(cited), " ".join(_above(cited)))

    async def answer(self, request: AnswerRequest) -> Verdict:
        """Check a whole answer."""
        if not any(sentence.text.strip() for sentence in request.sentences):
            reason = Reason(code="check.empty", text="There is no answer.")
            return Verdict(outcome=Outcome.ESCALATE, score=0.0, reasons=(reason,))
        return Verdict(outcome=Outcome.PASS)

    async def supported(self, sources: Sequence[str], reply: str) -> float:
        """Return the probability that sources bear a reply out: that of its weakest sentence."""
        told = [piece for source in sources for piece in _cut(source)]
        claims = _cut(reply)
        if not told or not claims:
            return 0.0
        vectors = await self._encoder.encode([*claims, *told])
        claimed, stated = vectors[: len(claims)], vectors[len(claims) :]
        pairs = zip(claims, claimed, strict=True)
        return min(weigh_support(claim, told, vector, stated).probability for claim, vector in pairs)

    async def _compared(self, claim: str, told: Sequence[str], above: str) -> Verdict:
        vectors = await self._encoder.encode([claim, *told])
        found = weigh_support(claim, told, vectors[0], vectors[1:], above)
        if found.reasons:
            return Verdict(outcome=Outcome.REVISE, score=found.probability, reasons=found.reasons)
        if found.probability < self._supported:
            reason = Reason(code="check.unsupported", text=_UNSUPPORTED)
            return Verdict(outcome=Outcome.REVISE, score=found.probability, reasons=(reason,))
        return Verdict(outcome=Outcome.PASS, score=found.probability)


def _citation_problem(citation: Citation, known: dict[str, Passage]) -> Reason | None:
    passage = known.get(citation.passage_id)
    if passage is None:
        return Reason(code="check.unknown_passage", text=f"There is no passage {citation.passage_id}.")
    start, end = citation.start - passage.start, citation.end - passage.start
    if 0 <= start < end <= len(passage.text) and quote(passage.text, start, end) == citation.quote:
        return None
    if citation.quote.strip() and clean(citation.quote) in clean(passage.text):
        return None
    return Reason(code="check.quote", text=f"“{citation.quote}” is not in {passage.title}.")


def _is_quoted_whole(sentence: Sentence, known: dict[str, Passage]) -> bool:
    if sentence.text != " ".join(each.quote for each in sentence.citations):
        return False
    return all(_is_whole(each, known[each.passage_id]) for each in sentence.citations)


def _is_whole(citation: Citation, passage: Passage) -> bool:
    """Say whether a quote is whole sentences: a part of one may say something else."""
    start, end = citation.start - passage.start, citation.end - passage.start
    if start not in {a for a, _ in passage.sentences} or end not in {b for _, b in passage.sentences}:
        return False
    return quote(passage.text, start, end) == citation.quote


def _sentences_of(passages: Sequence[Passage]) -> list[str]:
    return [quote(passage.text, start, end) for passage in passages for start, end in passage.sentences]


def _above(passages: Sequence[Passage]) -> list[str]:
    return [f"{passage.title} {passage.heading}" for passage in passages]


def _cut(text: str) -> list[str]:
    return [quote(text, start, end) for start, end in splitter.spans(text)]


def _refused(code: str, text: str) -> Verdict:
    return Verdict(outcome=Outcome.REVISE, score=0.0, reasons=(Reason(code=code, text=text),))
