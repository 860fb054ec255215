"""How well each sentence of some passages answers a question, and whether any does.

Numbers only: vectors, shared words, the kind of thing that is asked for and the conditions that hold. The drafter
quotes by them and the checker judges a whole answer by them. ``design/drafter.md`` says whence the weights are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from policies.conditions import amount_fit, date_fit, denial_fit, month_fit
from policies.followups import standalone
from policies.glossary import Glossary
from policies.questions import Asked, asks, gives, is_asked, parts
from policies.types import Passage, Turn
from tools.encoder.ports import Encoder, Vectors, matching
from tools.knowledge.index import Index
from tools.knowledge.quoting import quote
from tools.known import NONE_KNOWN, KnownQuestions
from tools.wording import words

Numbers = NDArray[np.float32]
VectorsOf = Callable[[Sequence[Passage]], Awaitable[Mapping[str, Vectors]]]
"""Looks up the sentence vectors of passages by id; it may leave out what it does not know."""

NO_GLOSSARY = Glossary()
FEATURES = (
    *("whole", "part", "words", "kind", "lead", "document", "score", "passage"),
    *("denied", "months", "dates", "amounts"),
)
WEIGHTS = np.array([1.15, 0.68, 0.69, 0.23, -0.37, 0.42, 0.52, 0.4, 0.14, 0.14, 0.21, 0.17], np.float32)
"""One for each of ``FEATURES``; a difference of 0.1 in the sum makes a sentence e times likelier."""
_KIND = WEIGHTS[FEATURES.index("kind")]
PART = 2.0
"""What a sentence's similarity to one part of a message counts when that part's best sentence is sought."""
STRESS = 2
"""How many times a word of a follow-up counts beside one of the question before it."""
SHARED = 0.8
"""What a share of the question's words counts beside a similarity, when a passage's best sentence is sought."""
ANSWERED = (2.17, 7.55)
"""Logistic weights of a passage's best sentence and of the passage as a whole."""
ANSWERED_BIAS = -5.5
SHARPNESS = 5.0
"""How sharply a sentence stands out: the share that it has of all is that of ``exp(SHARPNESS * score)``."""
RIGHT = (0.99, 9.5)
"""Logistic weights of the logarithm of that share, and of the sentence's similarity to the question."""
RIGHT_BIAS = -3.17
KNOWN = (1.45, 2.11)
"""Logistic weights of the logarithm of that share, and of what known questions add to the sentence's score."""
KNOWN_BIAS = -1.2


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A question with its vectors."""

    text: str
    vectors: Vectors
    """One unit row for the whole question, then one for each of its parts."""
    parts: tuple[str, ...] = ()
    """The parts of a message that has several, each with a row of its own."""
    stressed: str = ""
    """The part of a follow-up that is new; its words count ``STRESS`` times."""


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
    scores: Numbers
    """By question and passages alone."""
    probability: float
    """That the passages answer the question, 0 to 1."""
    similar: Numbers
    """Similarity of each sentence to the whole question."""
    support: Numbers
    """What known questions add to each score."""
    answered: NDArray[np.bool_]
    """Whether each sentence answered a known question like this one."""
    parts: tuple[Numbers, ...] = ()
    """Scores for each question of a message that has several parts."""

    @property
    def supported(self) -> Numbers:
        """The scores with what known questions add."""
        return self.scores + self.support

    def chance(self, chosen: int) -> float:
        """Return the probability that a sentence answers: it is near the question, and stands out among all."""
        share = _share(self.scores, chosen)
        return _logistic(RIGHT[0] * share + RIGHT[1] * float(self.similar[chosen]) + RIGHT_BIAS)

    def known_chance(self, chosen: int) -> float:
        """Return the probability that a sentence answers: it answered questions like this, and stands out."""
        if not self.answered[chosen]:
            return 0.0
        share = _share(self.supported, chosen)
        return _logistic(KNOWN[0] * share + KNOWN[1] * float(self.support[chosen]) + KNOWN_BIAS)


def _share(scores: Numbers, chosen: int) -> float:
    """Return the logarithm of a sentence's share among all."""
    return -math.log(float(np.exp(SHARPNESS * (scores - scores[chosen])).sum()))


@dataclass(frozen=True)
class _Reading:
    text: str
    terms: frozenset[str]
    gives: frozenset[Asked]


class Indexed(Protocol):
    """Whatever has an index, such as an assistant's knowledge."""

    async def index(self) -> Index:
        """Return the active index."""
        ...


def stored_vectors(knowledge: Indexed) -> VectorsOf:
    """Return a look-up in the active index; passages of an older version are left out."""
    return _look_up(knowledge, Index.sentences_of)


def stored_matching(knowledge: Indexed) -> VectorsOf:
    """Return the same of the vectors that are compared with questions."""
    return _look_up(knowledge, Index.matching_of)


def _look_up(knowledge: Indexed, of: Callable[[Index, int], Vectors]) -> VectorsOf:
    async def look_up(passages: Sequence[Passage]) -> Mapping[str, Vectors]:
        index = await knowledge.index()
        known = [passage for passage in passages if passage.id in index.positions]
        return {passage.id: of(index, index.positions[passage.id]) for passage in known}

    return look_up


async def asking_of(
    question: str, history: Sequence[Turn], encoder: Encoder, glossary: Glossary = NO_GLOSSARY
) -> Asking:
    """Encode a question; a follow-up is read with the question before it, and stands in the foreground."""
    whole = standalone(question, history)
    text, own = glossary.expand(whole), glossary.expand(question)
    # Search and router encode the same texts, so the encoder remembers most of them.
    pieces = parts(whole)
    rows = await matching(encoder, [text, own, *pieces])
    if whole == question:
        return Asking(text=text, vectors=np.delete(rows, 1, axis=0), parts=pieces)
    middle = rows[0] + rows[1]
    middle /= np.linalg.norm(middle)
    return Asking(text=text, vectors=np.stack([middle, rows[1]]), stressed=own)


def weigh(
    asking: Asking,
    passages: Sequence[Passage],
    vectors: Mapping[str, Vectors],
    known: KnownQuestions = NONE_KNOWN,
) -> Evidence:
    """Weigh every sentence; ``vectors`` has one row to compare for each sentence of each passage."""
    candidates = sentences_of(passages)
    if not candidates:
        nothing = np.zeros(0, np.float32)
        return Evidence(
            candidates=(),
            scores=nothing,
            probability=0.0,
            similar=nothing,
            support=nothing,
            answered=np.zeros(0, np.bool_),
        )
    features = features_of(asking, passages, vectors)
    support, answered = _support(asking, passages, candidates, known)
    scores = features @ WEIGHTS
    return Evidence(
        candidates=candidates,
        scores=scores,
        probability=probability_of(asking, passages, vectors),
        similar=features[:, FEATURES.index("whole")],
        support=support,
        answered=answered,
        parts=_part_scores(asking, passages, vectors, scores),
    )


def _support(
    asking: Asking, passages: Sequence[Passage], candidates: Sequence[Candidate], known: KnownQuestions
) -> tuple[Numbers, NDArray[np.bool_]]:
    if not known:
        return np.zeros(len(candidates), np.float32), np.zeros(len(candidates), np.bool_)
    places = [(passages[each.passage].document, each.text) for each in candidates]
    return known.support(known.near(asking.text, asking.vectors[0]), places)


def _part_scores(
    asking: Asking, passages: Sequence[Passage], vectors: Mapping[str, Vectors], scores: Numbers
) -> tuple[Numbers, ...]:
    """Return the scores again for each part that asks: what is said for the whole gives way to what is for it."""
    asked = [(row, part) for row, part in enumerate(asking.parts, start=1) if is_asked(part)]
    if not asked:
        return ()
    near = np.concatenate([vectors[passage.id] for passage in passages]) @ asking.vectors.T
    readings = _readings(passages)
    rest = scores - PART * near[:, 0] - _KIND * _kind(asking.text, readings)
    return tuple(rest + PART * near[:, row] + _KIND * _kind(part, readings) for row, part in asked)


def sentences_of(passages: Sequence[Passage]) -> tuple[Candidate, ...]:
    """Return the sentences of passages as they are quoted."""
    return tuple(
        Candidate(passage=p, sentence=s, text=each.text)
        for p, passage in enumerate(passages)
        for s, each in enumerate(_read(passage.text, passage.sentences))
    )


def features_of(asking: Asking, passages: Sequence[Passage], vectors: Mapping[str, Vectors]) -> Numbers:
    """Return what speaks for each sentence, of shape (sentences, len(FEATURES))."""
    rows = np.concatenate([vectors[passage.id] for passage in passages])
    of = np.repeat(np.arange(len(passages)), [len(passage.sentences) for passage in passages])
    near = rows @ asking.vectors.T
    readings = _readings(passages)
    lead = np.array([not each.heading or each.heading == each.title for each in passages], np.float32)[of]
    document = np.array(_document_scores(passages), np.float32)[of]
    columns = [near[:, 0], near.max(axis=1), _words(asking, passages, readings, of)]
    scores = np.array([each.score for each in passages], np.float32)
    similar = np.array([each.similarity for each in passages], np.float32)
    columns += [_kind(asking.text, readings), lead, document, (scores - scores.max())[of], similar[of]]
    fits = np.array([_fits(asking, each.text) for each in readings], np.float32)
    return np.column_stack([*columns, fits]).astype(np.float32)


def _readings(passages: Sequence[Passage]) -> list[_Reading]:
    return [each for passage in passages for each in _read(passage.text, passage.sentences)]


def _fits(asking: Asking, text: str) -> tuple[float, float, float, float]:
    """Return how a sentence's conditions fit; in a follow-up, what is new comes before what was said earlier."""
    return (
        denial_fit(asking.text, text),
        month_fit(asking.stressed, text) or month_fit(asking.text, text),
        date_fit(asking.text, text),
        amount_fit(asking.stressed, text) or amount_fit(asking.text, text),
    )


def _document_scores(passages: Sequence[Passage]) -> list[float]:
    """Return for each passage how far its document's best score lies below the best of all."""
    best: dict[str, float] = {}
    for passage in passages:
        best[passage.document] = max(best.get(passage.document, passage.score), passage.score)
    top = max(best.values())
    return [best[passage.document] - top for passage in passages]


def _words(
    asking: Asking, passages: Sequence[Passage], readings: Sequence[_Reading], of: NDArray[np.intp]
) -> Numbers:
    """Return the share of the question's words that each sentence or its heading has, rare words weighing more."""
    asked, stressed = words(asking.text), words(asking.stressed)
    above = [words(f"{passage.title} {passage.heading}") & asked for passage in passages]
    held = [(each.terms & asked) | above[p] for each, p in zip(readings, of, strict=True)]
    spread = Counter(term for each in held for term in each)
    weight = {
        term: math.log(1 + len(held) / (spread[term] + 0.5)) * (STRESS if term in stressed else 1)
        for term in asked
    }
    total = sum(weight.values()) or 1.0
    return np.array([sum(weight[term] for term in each) / total for each in held], np.float32)


def _kind(question: str, readings: Sequence[_Reading]) -> Numbers:
    asked = asks(question)
    return np.array([len(each.gives & asked) / max(1, len(asked)) for each in readings], np.float32)


def probability_of(asking: Asking, passages: Sequence[Passage], vectors: Mapping[str, Vectors]) -> float:
    """Return the probability that one of the passages answers the question."""
    likely = (_answered(asking, passage, vectors[passage.id]) for passage in passages if passage.sentences)
    return max(likely, default=0.0)


def _answered(asking: Asking, passage: Passage, rows: Vectors) -> float:
    asked = words(asking.text)
    shares = [len(asked & each.terms) / max(1, len(asked)) for each in _read(passage.text, passage.sentences)]
    best = float((rows @ asking.vectors[0] + SHARED * np.array(shares, np.float32)).max())
    return likelihood(best, passage.similarity)


def likelihood(best: float, similarity: float) -> float:
    """Return the probability that a passage answers, from its best sentence and its own similarity.

    ``best`` is a sentence's similarity plus ``SHARED`` times the share of the question's words it has.
    """
    return _logistic(ANSWERED[0] * best + ANSWERED[1] * similarity + ANSWERED_BIAS)


def _logistic(total: float) -> float:
    return 1 / (1 + math.exp(-total))


@lru_cache(maxsize=2_048)
def _read(text: str, spans: tuple[tuple[int, int], ...]) -> tuple[_Reading, ...]:
    """Read a passage's sentences once: the same ones are found again and again."""
    quoted = [quote(text, start, end) for start, end in spans]
    return tuple(_Reading(each, words(each), gives(each)) for each in quoted)
