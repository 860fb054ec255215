"""The checker: whether a drafted sentence is supported, and whether a whole answer may leave.

What is quoted whole and unchanged passes without a look at its meaning; everything else is compared with the
passages it cites. ``design/checker.md`` has the order of the checks and the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from policies.polarity import drops_condition
from policies.types import Citation, Outcome, Passage, Reason, Sentence, Verdict
from tools.encoder.ports import Encoder
from tools.evidence import SHARED, likelihood
from tools.knowledge import sentences as splitter
from tools.knowledge.quoting import clean, quote
from tools.support import contained, contradict, nearest_texts, weigh_support

VERBATIM = 0.99
"""Score of an unchanged quote."""
SUPPORTED = 0.5
"""Below this probability of support, a sentence of other words is refused."""
ANSWERING = 0.1
"""Below this probability that the answer answers, a person gets the question."""
_NO_CITATION = "The sentence cites nothing."
_UNSUPPORTED = "The cited passages do not bear it out."


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


@dataclass(frozen=True, kw_only=True)
class AnswerRequest:
    """A whole answer with its question."""

    question: str
    sentences: tuple[Sentence, ...]
    passages: tuple[Passage, ...]


class LocalChecker:
    """Checks sentences and answers without a language model."""

    def __init__(self, encoder: Encoder, *, supported: float = SUPPORTED, answering: float = ANSWERING) -> None:
        self._encoder = encoder
        self._supported = supported
        self._answering = answering

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
        """Check a whole answer: ``ESCALATE`` if it is none, ``REVIEW`` if it contradicts itself."""
        texts = [sentence.text for sentence in request.sentences if sentence.text.strip()]
        if not texts:
            return _escalated("check.empty", "There is no answer.", 0.0)
        score = _answers(request)
        if score < self._answering:
            return _escalated("check.not_answered", f"It hardly answers the question ({score:.0%}).", score)
        pairs = [
            Reason(code="check.contradiction", text=f"“{a}” and “{b}” exclude each other.")
            for a, b in combinations(texts, 2)
            if contradict(a, b)
        ]
        outcome = Outcome.REVIEW if pairs else Outcome.PASS
        return Verdict(outcome=outcome, score=score, reasons=tuple(pairs))

    async def supported(self, sources: Sequence[str], reply: str) -> float:
        """Return the probability that sources bear a reply out: that of its weakest sentence."""
        told = nearest_texts(reply, [piece for source in sources for piece in _cut(source)])
        claims = _cut(reply)
        if not told or not claims:
            return 0.0
        vectors = await self._encoder.encode([*claims, *told])
        claimed, stated = vectors[: len(claims)], vectors[len(claims) :]
        everything = " ".join(sources)
        pairs = zip(claims, claimed, strict=True)
        return min(weigh_support(claim, told, vector, stated, everything).probability for claim, vector in pairs)

    async def _compared(self, claim: str, told: Sequence[str], above: str) -> Verdict:
        vectors = await self._encoder.encode([claim, *told])
        found = weigh_support(claim, told, vectors[0], vectors[1:], above)
        reasons = list(found.reasons)
        if drops_condition(claim, told[found.best]):
            reasons.append(Reason(code="check.cut", text=f"It leaves out a condition of “{told[found.best]}”"))
        if not reasons and found.probability < self._supported:
            reasons.append(Reason(code="check.unsupported", text=_UNSUPPORTED))
        outcome = Outcome.REVISE if reasons else Outcome.PASS
        return Verdict(outcome=outcome, score=found.probability, reasons=tuple(reasons))


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


def _answers(request: AnswerRequest) -> float:
    cited = {citation.passage_id for sentence in request.sentences for citation in sentence.citations}
    similarity = max((each.similarity for each in request.passages if each.id in cited), default=0.0)
    reply = " ".join(sentence.text for sentence in request.sentences)
    return likelihood(similarity + SHARED * contained(request.question, reply), similarity)


def _escalated(code: str, text: str, score: float) -> Verdict:
    return Verdict(outcome=Outcome.ESCALATE, score=score, reasons=(Reason(code=code, text=text),))


def _refused(code: str, text: str) -> Verdict:
    return Verdict(outcome=Outcome.REVISE, score=0.0, reasons=(Reason(code=code, text=text),))
