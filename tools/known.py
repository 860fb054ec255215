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
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from policies.glossary import Glossary
from policies.types import Audience, KnownQuestion, Passage
from tools.encoder.ports import Encoder, Vectors
from tools.knowledge.chunking import chunk
from tools.knowledge.documents import Unreadable
from tools.knowledge.folder import sources
from tools.knowledge.index import Also, Index
from tools.knowledge.ports import Retriever, SearchResult
from tools.knowledge.quoting import quote
from tools.wording import words

Numbers = NDArray[np.float32]
Rows = NDArray[np.intp]
Place = tuple[str, str]
"""A document's path, and a sentence of it as it is quoted."""

FAR = 0.4
"""A similarity to a known question that says nothing yet."""
MEANING, WORDING, DOCUMENT = 1.6, 1.75, 0.65
"""What counts for a sentence beside ``tools.evidence.WEIGHTS``: the similarity above ``FAR`` of the nearest known
question that it answers, the words shared with one, and the similarity above ``FAR`` of its document's nearest."""
NEAREST = 3
"""Of so many of a document's questions the similarity is the mean."""
FOUND = 4
"""The passages of so many answers are looked at beside those that search finds."""


@dataclass(frozen=True, kw_only=True)
class Nearness:
    """How near one question is to the known ones."""

    meaning: Numbers
    """Similarity to the nearest way in which each known question is asked."""
    wording: Numbers
    """The greatest share of words in common with one of those ways, rare words weighing more."""
    similar: Numbers
    """Similarity to each way of asking."""


class _Searching(Protocol):
    async def search(
        self, query: str, *, audience: Audience, limit: int = 8, also: Also | None = None
    ) -> SearchResult: ...


class KnownQuestions:
    """The known questions of one assistant, ready to be compared; there may be none."""

    def __init__(self, questions: Sequence[KnownQuestion] = (), vectors: Vectors | None = None) -> None:
        self.questions = tuple(questions)
        self._texts = [text for each in self.questions for text in each.asked]
        self._vectors = np.zeros((0, 1), np.float32) if vectors is None else vectors
        self._starts = np.cumsum([0, *(len(each.asked) for each in self.questions)])[:-1]
        self._answers: dict[Place, list[int]] = defaultdict(list)
        for number, each in enumerate(self.questions):
            for sentence in each.answer:
                self._answers[each.document, sentence].append(number)
        self._of_document = _grouped([each.document for each in self.questions for _ in each.asked])
        self.documents = frozenset(self._of_document)
        """The documents that questions are known to."""
        self._lexicon = _Lexicon(self._texts)
        self._rows: tuple[str, dict[Place, int]] = ("", {})

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
        read = [replace(each, asked=tuple(map(glossary.expand, each.asked))) for each in questions]
        texts = [text for each in read for text in each.asked]
        return cls(read, await _encoded(texts, encoder, cache)) if texts else cls()

    def __bool__(self) -> bool:
        return bool(self.questions)

    def examples(self) -> Iterator[tuple[str, str, Vectors]]:
        """Yield each way of asking with the intent that it belongs to, where one is named, and its vector."""
        intents = [each.intent for each in self.questions for _ in each.asked]
        for intent, text, vector in zip(intents, self._texts, self._vectors, strict=True):
            if intent is not None:
                yield intent, text, vector

    def near(self, text: str, vector: Vectors) -> Nearness:
        """Compare a question, as the glossary reads it, with all known ones."""
        similar = self._vectors @ vector
        return Nearness(
            meaning=np.maximum.reduceat(similar, self._starts),
            wording=np.maximum.reduceat(self._lexicon.shared(text), self._starts),
            similar=similar,
        )

    def support(self, nearness: Nearness, places: Sequence[Place]) -> Numbers:
        """Return what the known questions add to the score of each sentence."""
        documents = self.documents.intersection(document for document, _ in places)
        whole = {each: DOCUMENT * _of_the_best(nearness.similar[self._of_document[each]]) for each in documents}
        meaning = MEANING * np.maximum(0.0, nearness.meaning - FAR)
        return np.array(
            [
                whole.get(place[0], 0.0)
                + self._best(meaning, place)
                + WORDING * self._best(nearness.wording, place)
                for place in places
            ],
            np.float32,
        )

    def _best(self, values: Numbers, place: Place) -> float:
        return max((float(values[number]) for number in self._answers.get(place, ())), default=0.0)

    def rows(self, index: Index, vector: Vectors) -> set[int]:
        """Return the positions of the passages that hold the answers to the nearest known questions."""
        if not self:
            return set()
        meaning = np.maximum.reduceat(self._vectors @ vector, self._starts)
        where = self._places(index)
        near = np.argsort(-meaning, kind="stable")[:FOUND]
        places = [(self.questions[n].document, text) for n in near for text in self.questions[n].answer]
        return {where[place] for place in places if place in where}

    def unsaid(self, index: Index) -> list[Place]:
        """Return the sentences that answer but do not stand in the documents, so that they can't be quoted."""
        return unsaid(self.questions, self._places(index))

    def over(self, retriever: _Searching) -> Retriever:
        """Return a retriever that also finds where the nearest known questions have their answers."""
        return _Knowing(retriever, self)

    def _places(self, index: Index) -> dict[Place, int]:
        version, known = self._rows
        if version != index.version:
            known = dict(self._find(index.passages))
            self._rows = (index.version, known)
        return known

    def _find(self, passages: Sequence[Passage]) -> Iterator[tuple[Place, int]]:
        for row, passage in enumerate(passages):
            if passage.document in self.documents:
                for start, end in passage.sentences:
                    yield (passage.document, quote(passage.text, start, end)), row


def unsaid(questions: Sequence[KnownQuestion], said: Container[Place]) -> list[Place]:
    """Return the sentences that answer known questions and are not among those that are said."""
    places = dict.fromkeys((each.document, sentence) for each in questions for sentence in each.answer)
    return [place for place in places if place not in said]


def said_in(folder: Path) -> set[Place]:
    """Return all sentences of a knowledge folder, as they are quoted; a file that can't be read says nothing.

    Raises ``ConfigError`` if there is no such folder.
    """
    said: set[Place] = set()
    for source in sources(folder):
        with suppress(Unreadable):
            for piece in chunk(source.load()):
                said.update((source.path, quote(piece.text, start, end)) for start, end in piece.sentences)
    return said


@dataclass(frozen=True)
class _Knowing:
    retriever: _Searching
    known: KnownQuestions

    async def search(self, query: str, *, audience: Audience, limit: int = 8) -> SearchResult:
        return await self.retriever.search(query, audience=audience, limit=limit, also=self.known.rows)


class _Lexicon:
    """Which words texts have; rare ones weigh more."""

    def __init__(self, texts: Sequence[str]) -> None:
        read = [words(text) for text in texts]
        spread = Counter(word for each in read for word in each)
        self._count = len(texts)
        self._weights = {word: math.log(1 + self._count / (n + 0.5)) ** 2 for word, n in spread.items()}
        self._unknown = math.log(1 + self._count / 0.5) ** 2
        self._lengths = np.sqrt([sum(self._weights[word] for word in each) or 1.0 for each in read])
        rows: dict[str, list[int]] = defaultdict(list)
        for row, each in enumerate(read):
            for word in each:
                rows[word].append(row)
        self._rows = {word: np.array(held, np.intp) for word, held in rows.items()}

    def shared(self, text: str) -> Numbers:
        """Return the cosine of a text with each, 0 to 1; a word counts once."""
        asked = words(text)
        found = np.zeros(self._count)
        for word in asked & self._rows.keys():
            found[self._rows[word]] += self._weights[word]
        length = math.sqrt(sum(self._weights.get(word, self._unknown) for word in asked)) or 1.0
        return (found / (self._lengths * length)).astype(np.float32)


def _grouped(names: Sequence[str]) -> dict[str, Rows]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        rows[name].append(row)
    return {name: np.array(held, np.intp) for name, held in rows.items()}


def _of_the_best(similar: Numbers) -> float:
    best = np.partition(similar, -min(NEAREST, len(similar)))[-NEAREST:]
    return max(0.0, float(best.mean()) - FAR)


async def _encoded(texts: Sequence[str], encoder: Encoder, cache: Path | None) -> Vectors:
    lesson = hashlib.sha256(json.dumps([encoder.id, *texts]).encode()).hexdigest()[:32]
    path = cache and cache / f"known-{lesson}.npy"
    if path and path.is_file():
        return await anyio.to_thread.run_sync(partial(np.load, path, allow_pickle=False))
    vectors = await encoder.encode(texts)
    if path:
        await anyio.to_thread.run_sync(_keep, path, vectors)
    return vectors


def _keep(path: Path, vectors: Vectors) -> None:
    """Write the file at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.stem}.{os.getpid()}.npy")
    np.save(scratch, vectors, allow_pickle=False)
    scratch.replace(path)


NONE_KNOWN = KnownQuestions()
