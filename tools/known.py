"""What an assistant's known questions say of a new one: which sentences answered what was asked much like it.

Two questions are nearer to each other than a question is to what answers it, so customers' own words lead to a
sentence that shares none of them. ``design/drafter.md`` says whence the numbers are.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from policies.glossary import Glossary
from policies.types import Audience, KnownQuestion, Passage
from tools.encoder.ports import Encoded, Encoder, Vectors, encoded, matching
from tools.knowledge.chunking import chunk
from tools.knowledge.documents import Unreadable
from tools.knowledge.folder import sources
from tools.knowledge.index import Index
from tools.knowledge.ports import Retriever, SearchResult
from tools.knowledge.quoting import quote
from tools.wording import words

Numbers = NDArray[np.float32]
Rows = NDArray[np.intp]
Place = tuple[str, str]
"""A document's path, and a sentence of it as it is quoted."""

FAR = 0.4
"""A similarity to a known question that says nothing yet."""
MEANING, WORDING, DOCUMENT = 2.5, 1.2, 1.4
"""What counts for a sentence beside ``tools.evidence.WEIGHTS``: the similarity above ``FAR`` of the nearest known
question that it answers, the words shared with one, and the similarity above ``FAR`` of its document's nearest."""
NEAREST = 3
"""Of so many of a document's questions the similarity is the mean."""
FOUND = 2
"""The passages of so many answers are looked at beside those that search finds."""

_NOTHING = Encoded(vectors=np.zeros((0, 1), np.float32), matching=np.zeros((0, 1), np.float32))


@dataclass(frozen=True, kw_only=True)
class Example:
    """One way of asking a known question that belongs to an intent."""

    intent: str
    asked: str
    """As its author wrote it."""
    read: str
    """With the documents' words besides, as customers' questions are read."""
    vector: Vectors
    """Of what is read, as the router compares texts."""


@dataclass(frozen=True, kw_only=True)
class Nearness:
    """How near one question is to the known ones."""

    meaning: Numbers
    """Similarity to the nearest way in which each known question is asked."""
    wording: Numbers
    """The greatest share of words in common with one of those ways, rare words weighing more."""
    similar: Numbers
    """Similarity to each way of asking."""


class KnownQuestions:
    """The known questions of one assistant, ready to be compared; there may be none."""

    def __init__(
        self, questions: Sequence[KnownQuestion] = (), read: Sequence[str] = (), encoded: Encoded = _NOTHING
    ) -> None:
        """Take each question with how its ways of asking are read, one after the other, and their vectors."""
        self.questions = tuple(questions)
        """As they were written."""
        self._texts = tuple(read)
        self._encoded = encoded
        self._starts = np.cumsum([0, *(len(each.asked) for each in self.questions)])[:-1]
        self._answers: dict[Place, list[int]] = defaultdict(list)
        for number, each in enumerate(self.questions):
            for sentence in each.answer:
                self._answers[each.document, sentence].append(number)
        self._of_document = _grouped(enumerate(each.document for each in self.questions for _ in each.asked))
        self.documents = frozenset(self._of_document)
        """The documents that questions are known to."""
        self._lexicon = _Lexicon(self._texts)
        self._rows: tuple[Index | None, dict[Place, int]] = (None, {})

    @classmethod
    async def learn(
        cls,
        questions: Sequence[KnownQuestion],
        encoder: Encoder,
        glossary: Glossary,
        cache: Path | None = None,
    ) -> KnownQuestions:
        """Encode the questions as customers' are read: with the documents' words for theirs.

        With ``cache``, the vectors are kept in that folder and the same questions are not encoded twice.
        """
        asked = [text for each in questions for text in each.asked]
        if not asked:
            return cls()
        read = await anyio.to_thread.run_sync(lambda: [glossary.expand(text) for text in asked])
        return await anyio.to_thread.run_sync(cls, questions, read, await _encoded(read, encoder, cache))

    def __bool__(self) -> bool:
        return bool(self.questions)

    def examples(self) -> Iterator[Example]:
        """Yield each way of asking a question that names its intent."""
        ways = ((each.intent, asked) for each in self.questions for asked in each.asked)
        for (intent, asked), read, vector in zip(ways, self._texts, self._encoded.vectors, strict=True):
            if intent is not None:
                yield Example(intent=intent, asked=asked, read=read, vector=vector)

    def near(self, text: str, vector: Vectors) -> Nearness:
        """Compare a question, as the glossary reads it, with all known ones, of which there must be some.

        ``vector`` is its matching vector.
        """
        similar = self._encoded.matching @ vector
        return Nearness(
            meaning=self._nearest(similar),
            wording=np.maximum.reduceat(self._lexicon.shared(text), self._starts),
            similar=similar,
        )

    def support(self, nearness: Nearness, places: Sequence[Place]) -> tuple[Numbers, NDArray[np.bool_]]:
        """Return what the known questions add to the score of each sentence, and which answered one like this."""
        documents = self.documents.intersection(document for document, _ in places)
        whole = {each: DOCUMENT * _of_the_best(nearness.similar[self._of_document[each]]) for each in documents}
        meaning = np.array([self._best(nearness.meaning, place) for place in places], np.float32)
        meaning = np.maximum(meaning - FAR, 0)
        wording = np.array([self._best(nearness.wording, place) for place in places], np.float32)
        around = np.array([whole.get(document, 0.0) for document, _ in places], np.float32)
        return around + MEANING * meaning + WORDING * wording, meaning > 0

    def _best(self, values: Numbers, place: Place) -> float:
        return max((float(values[number]) for number in self._answers.get(place, ())), default=0.0)

    def _nearest(self, similar: Numbers) -> Numbers:
        return np.asarray(np.maximum.reduceat(similar, self._starts))

    def rows(self, index: Index, vector: Vectors) -> set[int]:
        """Return the positions of the passages that hold the answers to the nearest known questions.

        There must be some; ``vector`` is the question's matching vector.
        """
        meaning, where = self._nearest(self._encoded.matching @ vector), self._places(index)
        near = (self.questions[n] for n in np.argsort(-meaning, kind="stable") if meaning[n] > FAR)
        held = ([where.get((each.document, text)) for text in each.answer] for each in near)
        whole = ({row for row in rows if row is not None} for rows in held if None not in rows)
        return set().union(*islice(whole, FOUND))

    def unsaid(self, index: Index) -> list[Place]:
        """Return the sentences that answer but stand in no document for customers: they can't be quoted."""
        return unsaid(self.questions, self._places(index))

    def over(self, retriever: Retriever, encoder: Encoder) -> Knowing:
        """Return a retriever that also finds where the nearest known questions have their answers."""
        return Knowing(retriever, self, encoder)

    def _places(self, index: Index) -> dict[Place, int]:
        of, known = self._rows
        if of is not index:
            known = dict(self._find(index.passages))
            self._rows = (index, known)
        return known

    def _find(self, passages: Sequence[Passage]) -> Iterator[tuple[Place, int]]:
        for row, passage in enumerate(passages):
            if passage.document in self.documents and passage.audience == "customer":
                for start, end in passage.sentences:
                    if (place := (passage.document, quote(passage.text, start, end))) in self._answers:
                        yield place, row


def unsaid(questions: Sequence[KnownQuestion], said: Container[Place]) -> list[Place]:
    """Return the sentences that answer known questions and are not among those that are said."""
    places = dict.fromkeys((each.document, sentence) for each in questions for sentence in each.answer)
    return [place for place in places if place not in said]


def said_in(folder: Path) -> set[Place]:
    """Return all sentences for customers of a knowledge folder, as they are quoted.

    A file that can't be read says nothing.

    Raises ``ConfigError`` if there is no such folder.
    """
    said: set[Place] = set()
    for source in sources(folder):
        with suppress(Unreadable):
            document = source.load()
            for piece in chunk(document) if document.audience == "customer" else ():
                said.update((source.path, quote(piece.text, start, end)) for start, end in piece.sentences)
    return said


@dataclass(frozen=True)
class Knowing:
    """A retriever that looks where the nearest known questions have their answers, too."""

    retriever: Retriever
    known: KnownQuestions
    encoder: Encoder

    async def search(self, query: str, *, audience: Audience, limit: int = 8) -> SearchResult:
        """Return ``limit`` passages, and after them those of up to ``FOUND`` known answers."""
        if not self.known:
            return await self.retriever.search(query, audience=audience, limit=limit)
        vector = (await matching(self.encoder, [query]))[0]
        also = partial(self.known.rows, vector=vector)
        return await self.retriever.search(query, audience=audience, limit=limit, also=also)


class _Lexicon:
    """Which words texts have; rare ones weigh more."""

    def __init__(self, texts: Sequence[str]) -> None:
        read = [words(text) for text in texts]
        spread = Counter(word for each in read for word in each)
        self._count = len(texts)
        self._weights = {word: math.log(1 + self._count / (n + 0.5)) ** 2 for word, n in spread.items()}
        self._unknown = math.log(1 + self._count / 0.5) ** 2
        self._lengths = np.sqrt([sum(self._weights[word] for word in each) or 1.0 for each in read])
        self._rows = _grouped((row, word) for row, each in enumerate(read) for word in each)

    def shared(self, text: str) -> Numbers:
        """Return the cosine of a text with each, 0 to 1; a word counts once."""
        asked = words(text)
        found = np.zeros(self._count)
        for word in asked & self._rows.keys():
            found[self._rows[word]] += self._weights[word]
        length = math.sqrt(sum(self._weights.get(word, self._unknown) for word in asked)) or 1.0
        return (found / (self._lengths * length)).astype(np.float32)


def _grouped(named: Iterable[tuple[int, str]]) -> dict[str, Rows]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in named:
        rows[name].append(row)
    return {name: np.array(held, np.intp) for name, held in rows.items()}


def _of_the_best(similar: Numbers) -> float:
    best = np.partition(similar, -min(NEAREST, len(similar)))[-NEAREST:]
    return max(0.0, float(best.mean()) - FAR)


async def _encoded(texts: Sequence[str], encoder: Encoder, cache: Path | None) -> Encoded:
    lesson = hashlib.sha256(json.dumps([encoder.id, *texts]).encode()).hexdigest()[:32]
    path = cache and cache / f"questions-{lesson}.npy"
    if path and (kept := await anyio.to_thread.run_sync(_kept, path, len(texts))):
        return kept
    made = await encoded(encoder, texts)
    if path:
        await anyio.to_thread.run_sync(_keep, path, made)
    return made


def _kept(path: Path, count: int) -> Encoded | None:
    """Return what ``_keep`` wrote, or None if there is no such file or it can't be read."""
    try:
        vectors, matching = np.asarray(np.load(path, allow_pickle=False), np.float32)
    except (OSError, ValueError, EOFError):
        return None
    return Encoded(vectors=vectors, matching=matching) if len(vectors) == count else None


def _keep(path: Path, made: Encoded) -> None:
    """Write the file at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.stem}.{os.getpid()}.npy")
    np.save(scratch, np.stack([made.vectors, made.matching]), allow_pickle=False)
    scratch.replace(path)


NONE_KNOWN = KnownQuestions()
