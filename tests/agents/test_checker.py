from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from agents.checker import AnswerRequest, LocalChecker, SentenceRequest
from policies.guards import Binding, Finding, GuardRequest, Stage
from policies.types import Citation, Outcome, Passage, Reason, Sentence, Verdict
from tools.guards.fake import PlainGuards
from tools.knowledge import sentences

pytestmark = pytest.mark.anyio

TEXT = (
    "Tents can be returned within 30 days, unless they are on Final Sale. A late parcel may be refunded by Bend."
)
WHOLE = "Tents can be returned within 30 days, unless they are on Final Sale."
PASSAGE = Passage(
    id="p1",
    document="returns.md",
    document_version="dv_1",
    title="Returns",
    heading="Windows",
    text=TEXT,
    start=50,
    end=50 + len(TEXT),
    index_version="idx_1",
    audience="customer",
    similarity=0.7,
    sentences=sentences.spans(TEXT),
)
EVERYTHING_PASSES = PlainGuards()


def cited(text: str) -> Sentence:
    citation = Citation(
        passage_id="p1",
        document="returns.md",
        document_version="dv_1",
        title="Returns",
        quote=WHOLE,
        start=50,
        end=50 + len(WHOLE),
    )
    return Sentence(text=text, citations=(citation,))


class WordGuard:
    """Finds a word, and keeps what it was asked."""

    def __init__(self, word: str, score: float) -> None:
        self.name = word
        self.stages: Sequence[Stage] = ("output",)
        self.asked: list[GuardRequest] = []
        self._score = score

    async def __call__(self, request: GuardRequest) -> Finding:
        self.asked.append(request)
        score = self._score if self.name in request.text else 0.0
        return Finding(guard=self.name, score=score, reason=reason(self.name))


def reason(word: str) -> Reason:
    return Reason(code=f"guard.{word}", text=f"It says {word}.")


def bound(guard: WordGuard, effect: Outcome) -> Binding:
    return Binding(guard=guard.name, stage="output", threshold=0.5, effect=effect)


async def test_a_sentence_that_no_guard_holds_back_passes() -> None:
    request = SentenceRequest(sentence=cited(WHOLE), passages=(PASSAGE,))
    assert await LocalChecker(EVERYTHING_PASSES).sentence(request) == Verdict(outcome=Outcome.PASS, score=1.0)


async def test_the_strictest_effect_of_the_guards_that_fail_holds() -> None:
    tents, sale, stove = WordGuard("Tents", 0.6), WordGuard("Sale", 0.9), WordGuard("stove", 0.9)
    effects = [(tents, Outcome.REVIEW), (sale, Outcome.REVISE), (stove, Outcome.BLOCK)]
    guards = PlainGuards([tents, sale, stove], [bound(*each) for each in effects])
    verdict = await LocalChecker(guards).sentence(SentenceRequest(sentence=cited(WHOLE), passages=(PASSAGE,)))
    assert (verdict.outcome, verdict.reasons) == (Outcome.REVIEW, (reason("Tents"), reason("Sale")))
    assert verdict.score == pytest.approx(0.1)


async def test_guards_are_told_all_that_is_known_around_a_sentence() -> None:
    guard = WordGuard("Tents", 1.0)
    request = SentenceRequest(
        sentence=cited(WHOLE),
        passages=(PASSAGE,),
        question="Can I return a tent?",
        language="en",
        own=True,
        placeholders=frozenset({"[EMAIL_1]"}),
    )
    await LocalChecker(PlainGuards([guard], [bound(guard, Outcome.REVISE)])).sentence(request)
    assert guard.asked == [
        GuardRequest(
            stage="output",
            text=WHOLE,
            language="en",
            question="Can I return a tent?",
            citations=cited(WHOLE).citations,
            passages=(PASSAGE,),
            own=True,
            placeholders=frozenset({"[EMAIL_1]"}),
        )
    ]


def codes(verdict: Verdict) -> list[str]:
    return [each.code for each in verdict.reasons]


async def answered(question: str, *texts: str, passage: Passage = PASSAGE) -> Verdict:
    request = AnswerRequest(question=question, sentences=tuple(cited(text) for text in texts), passages=(passage,))
    return await LocalChecker(EVERYTHING_PASSES).answer(request)


async def test_an_answer_that_answers_passes() -> None:
    verdict = await answered("how many days until tents can be returned", WHOLE)
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASS, ())
    assert 0.5 < verdict.score < 1


async def test_no_answer_is_escalated() -> None:
    verdict = await answered("how?")
    assert (verdict.outcome, codes(verdict)) == (Outcome.ESCALATE, ["check.empty"])


async def test_an_answer_to_something_else_is_escalated() -> None:
    verdict = await answered("who won the game", WHOLE, passage=replace(PASSAGE, similarity=0.1))
    assert (verdict.outcome, codes(verdict)) == (Outcome.ESCALATE, ["check.not_answered"])


@pytest.mark.parametrize(
    "other",
    [
        "Tents can be returned within 60 days, unless they are on Final Sale.",
        "Tents cannot be returned within 30 days, unless they are on Final Sale.",
    ],
)
async def test_an_answer_that_contradicts_itself_goes_to_review(other: str) -> None:
    verdict = await answered("can tents be returned", WHOLE, other)
    assert (verdict.outcome, codes(verdict)) == (Outcome.REVIEW, ["check.contradiction"])
