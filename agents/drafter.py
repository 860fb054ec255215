"""The drafter: an answer made of quoted sentences, or an abstention."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from policies.folder import MOST_SENTENCES
from policies.glossary import Glossary
from policies.types import Abstention, Citation, Passage, Route, Sentence, Turn
from tools.encoder.ports import Encoder, Vectors, matching
from tools.evidence import (
    NO_GLOSSARY,
    Candidate,
    Evidence,
    Numbers,
    VectorsOf,
    asking_of,
    sentences_of,
    weigh,
)
from tools.known import NONE_KNOWN, KnownQuestions
from tools.models.mandate import Mandate
from tools.results import quotable, says
from tools.wording import words

CLOSE = 0.1
"""A sentence whose score is this near to the best one's is quoted with it."""
CLOSE_KNOWN = 0.3
"""The same where known questions made it the best, which spreads the scores."""
ENOUGH = 0.2
"""Below this probability that the passages answer, only a sentence that stands out is quoted."""
LEAST = 1.4
"""Below this score of the best sentence, known questions aside, only one that stands out is quoted."""
STANDS_OUT = 0.65
"""From this probability on that it is the one that answers, a sentence stands out; where a policy sets another
``ENOUGH``, this moves with it."""
OPEN = 0.2
"""A question of several is still open if some sentence scores this much more for it than what is quoted."""
FAR = 0.4
"""A sentence that scores this much less than the best one for the whole message is not the answer to a part."""
SAME = 0.8
"""Two sentences that share this much of the shorter one's words say the same."""


@dataclass(frozen=True, kw_only=True)
class DraftRequest:
    """What a draft is made from."""

    question: str
    history: tuple[Turn, ...]
    passages: tuple[Passage, ...]
    route: Route
    rejected: tuple[str, ...] = ()
    """Sentences that a check refused; the draft must do without them."""
    language: str = ""
    """The customer's language, ISO 639-1; empty when nobody said."""
    mandate: Mandate | None = None


class LocalDrafter:
    """Quotes the sentences that answer best, word for word; no language model.

    ``vectors_of``, such as ``stored_matching``, saves encoding the passages' sentences again. Figures are in
    ``design/drafter.md``.
    """

    def __init__(
        self,
        encoder: Encoder,
        vectors_of: VectorsOf | None = None,
        *,
        enough: float = ENOUGH,
        glossary: Glossary = NO_GLOSSARY,
        known: KnownQuestions = NONE_KNOWN,
    ) -> None:
        self._encoder = encoder
        self._glossary = glossary
        self._known = known
        self._vectors_of = vectors_of
        self._enough = enough

    async def __call__(self, request: DraftRequest) -> AsyncGenerator[Sentence | Abstention, None]:
        """Yield the sentences of an answer, or one abstention.

        Where a tool says what the customer may be told, that is the answer; mere facts of tools are not quoted.
        """
        if told := says(request.passages):
            spoken = [each for each in sentences_of(told) if each.text not in request.rejected]
            for each in spoken:
                yield _quoted(each, told[each.passage])
            if not spoken:
                yield _abstention(0.0)
            return
        request = replace(request, passages=quotable(request.passages))
        if not request.passages:
            yield _abstention(0.0)
            return
        evidence = await self._evidence(request)
        chosen = _chosen(evidence, request, self._enough)
        if not chosen:
            yield _abstention(evidence.probability)
            return
        for each in chosen:
            yield _quoted(each, request.passages[each.passage])

    async def _evidence(self, request: DraftRequest) -> Evidence:
        vectors = await self._vectors(request.passages)
        asking = await asking_of(request.question, request.history, self._encoder, self._glossary)
        return weigh(asking, request.passages, vectors, self._known)

    async def _vectors(self, passages: Sequence[Passage]) -> Mapping[str, Vectors]:
        found = dict(await self._vectors_of(passages)) if self._vectors_of else {}
        lacking = [passage for passage in passages if passage.id not in found]
        texts = [each.text for each in sentences_of(lacking)]
        if texts:
            rows = await matching(self._encoder, texts)
            cuts = np.cumsum([len(passage.sentences) for passage in lacking])[:-1]
            parts = np.split(rows, cuts)
            found.update((passage.id, part) for passage, part in zip(lacking, parts, strict=True))
        return found


def _chosen(evidence: Evidence, request: DraftRequest, enough: float) -> list[Candidate]:
    """Return the best sentence and those of its document that are as good, in the order of the source.

    There are none if it neither answered questions like this, nor scores enough, in passages that seem to answer,
    nor stands out.
    """
    usable = [n for n, each in enumerate(evidence.candidates) if each.text not in request.rejected]
    ranking = _ranking(evidence, usable, enough) if usable else None
    if ranking is None:
        return []
    best = max(usable, key=lambda n: ranking.scores[n])
    document = _document(evidence.candidates[best], request)
    within = [n for n in usable if _document(evidence.candidates[n], request) == document]
    chosen = [best]
    for n in [*_as_good(ranking, within), *_for_parts(ranking, within, best)]:
        if len(chosen) < MOST_SENTENCES and not _repeats(n, chosen, evidence.candidates):
            chosen.append(n)
    quoted = [evidence.candidates[n] for n in chosen]
    return sorted(quoted, key=lambda each: (request.passages[each.passage].start, each.sentence))


@dataclass(frozen=True)
class _Ranking:
    """Scores by which the best sentence is surely an answer."""

    scores: Numbers
    parts: tuple[Numbers, ...]
    close: float


def _ranking(evidence: Evidence, usable: Sequence[int], enough: float) -> _Ranking | None:
    """Return the scores with what known questions add if that makes them sure, else those without if they are."""
    supported = evidence.supported
    best = max(usable, key=lambda n: supported[n])
    if evidence.answered[best] and evidence.known_chance(best) >= enough:
        return _Ranking(supported, tuple(part + evidence.support for part in evidence.parts), CLOSE_KNOWN)
    best = max(usable, key=lambda n: evidence.scores[n])
    if _scores_enough(evidence, best, enough) or _stands_out(evidence, best, enough):
        return _Ranking(evidence.scores, evidence.parts, CLOSE)
    return None


def _scores_enough(evidence: Evidence, best: int, enough: float) -> bool:
    return bool(evidence.scores[best] >= LEAST and evidence.probability >= enough)


def _stands_out(evidence: Evidence, best: int, enough: float) -> bool:
    # Who asks for more of one way of being sure asks for as much more of the other.
    bar = 1 - (1 - STANDS_OUT) * (1 - enough) / (1 - ENOUGH)
    return evidence.chance(best) >= bar


def _as_good(ranking: _Ranking, within: Sequence[int]) -> list[int]:
    """Return the sentences that score nearly as well as the best one, best first."""
    order = sorted(within, key=lambda n: -ranking.scores[n])
    return [n for n in order if ranking.scores[n] >= ranking.scores[order[0]] - ranking.close]


def _for_parts(ranking: _Ranking, within: Sequence[int], best: int) -> list[int]:
    """Return the best sentence for each question of several that the best one of all leaves open."""
    scores, tops = ranking.scores, [(part, max(within, key=lambda n: part[n])) for part in ranking.parts]
    return [n for part, n in tops if part[n] > part[best] + OPEN and scores[n] > scores[best] - FAR]


def _document(candidate: Candidate, request: DraftRequest) -> str:
    return request.passages[candidate.passage].document_version


def _repeats(candidate: int, chosen: Sequence[int], candidates: Sequence[Candidate]) -> bool:
    """Say whether a sentence says again what another says, as a row of a table often does."""
    own = words(candidates[candidate].text)
    for each in chosen:
        others = words(candidates[each].text)
        if len(own & others) >= SAME * max(1, min(len(own), len(others))):
            return True
    return False


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
