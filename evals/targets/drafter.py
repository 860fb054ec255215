"""The drafter: does it answer when the passage holds the answer, and abstain when not?

Beside it, the similarity of question and passage: what a search knows without reading.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from agents.drafter import ENOUGH, DraftRequest, LocalDrafter
from evals.cases import Case, DrafterCase, Question, cases_of
from evals.rows import Label
from evals.suite import Suite
from evals.targets.base import Observation, Prepared, Workroom
from policies.types import Abstention, Autonomy, Passage, Route, Sentence
from tools.encoder.opening import open_encoder
from tools.encoder.ports import Encoder, Vectors, encoded
from tools.knowledge import chunking
from tools.knowledge.documents import Record

# No probability reaches it: such a drafter always abstains, and an abstention tells the probability.
NEVER = 2.0
ROUTE = Route(
    intent=None, queue="general", priority="normal", confidence=1.0, in_scope=1.0, autonomy=Autonomy.AUTO
)


@dataclass(frozen=True, kw_only=True)
class DrafterTarget:
    """For each case a drafter that answers and one that only tells how sure it is."""

    encoder: Encoder

    async def run(self, case: Case[DrafterCase]) -> Observation:
        """Draft one answer."""
        passage, vectors = await self._passage(f"{case.file.name}:{case.line}", case.data.input)

        async def vectors_of(_: Sequence[Passage]) -> Mapping[str, Vectors]:
            return {passage.id: vectors}

        request = DraftRequest(question=case.data.input.question, history=(), passages=(passage,), route=ROUTE)
        drafter, doubter = (LocalDrafter(self.encoder, vectors_of, enough=enough) for enough in (ENOUGH, NEVER))
        drafted = [each async for each in drafter(request) if isinstance(each, Sentence)]
        doubts = [each async for each in doubter(request) if isinstance(each, Abstention)]
        answerable = case.data.expected.answerable
        scores = {
            "answerable": float(answerable),
            "confidence": doubts[0].confidence,
            "similarity": passage.similarity,
            "answered" if answerable else "abstained": float(bool(drafted) == answerable),
        }
        wrong = None if bool(drafted) == answerable else "abstains" if answerable else "answers"
        output = {"sentences": [each.text for each in drafted], "confidence": doubts[0].confidence}
        return Observation(output=output, scores=scores, wrong=wrong, label=Label(answerable, bool(drafted)))

    async def _passage(self, name: str, given: Question) -> tuple[Passage, Vectors]:
        """Return the passage as a search would find it, and the vectors of its sentences."""
        document = chunking.record_document(Record(id=name, text=given.passage, title=given.title))
        (piece,) = chunking.chunk(document)
        texts = [given.question, chunking.chunk_text(document, piece), *chunking.sentence_texts(document, piece)]
        read = await encoded(self.encoder, texts)
        query, vector, *_ = read.vectors
        passage = Passage(
            id=f"{name}:0",
            document=name,
            document_version=name,
            title=given.title,
            heading=piece.heading,
            text=piece.text,
            start=piece.start,
            end=piece.end,
            index_version="",
            audience="customer",
            similarity=float(query @ vector),
            sentences=piece.sentences,
        )
        return passage, read.matching[2:]


def prepare(suite: Suite) -> Prepared:
    """Read the cases."""
    cases = cases_of(suite, DrafterCase)
    answerable = {case.data.expected.answerable for case in cases}
    suite.needs(("answered",), True in answerable, "answerable cases")
    suite.needs(("abstained",), False in answerable, "cases that can't be answered")
    areas = ("answer_auroc", "similarity_auroc")
    suite.needs(areas, len(answerable) == 2, "cases that can be answered and cases that can't")
    return Prepared(suite=suite, cases=cases, open=partial(_open, suite.file.encoder))


@asynccontextmanager
async def _open(encoder_name: str, room: Workroom) -> AsyncIterator[DrafterTarget]:
    async with open_encoder(encoder_name, room.cache, room.announce) as encoder:
        yield DrafterTarget(encoder=encoder)
