from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from agents.checker import AnswerRequest, LocalChecker, SentenceRequest
from policies.types import Citation, Outcome, Passage, Sentence, Verdict
from tools.encoder.fake import HashingEncoder
from tools.encoder.ports import Vectors
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


def cited(text: str, quote: str = WHOLE, passage_id: str = "p1") -> Sentence:
    start = 50 + max(0, TEXT.find(quote))
    citation = Citation(
        passage_id=passage_id,
        document="returns.md",
        document_version="dv_1",
        title="Returns",
        quote=quote,
        start=start,
        end=start + len(quote),
    )
    return Sentence(text=text, citations=(citation,))


class NoEncoder(HashingEncoder):
    async def encode(self, texts: Sequence[str]) -> Vectors:
        raise AssertionError(f"encoded {texts}")


async def checked(sentence: Sentence, encoder: HashingEncoder | None = None) -> Verdict:
    checker = LocalChecker(encoder or HashingEncoder())
    return await checker.sentence(SentenceRequest(sentence=sentence, passages=(PASSAGE,)))


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


async def test_a_whole_quote_passes_without_the_encoder() -> None:
    assert await checked(cited(WHOLE), NoEncoder()) == Verdict(outcome=Outcome.PASS, score=0.99)


async def test_other_words_for_the_same_pass() -> None:
    verdict = await checked(cited("Within 30 days tents can be returned, unless on Final Sale."))
    assert (verdict.outcome, codes(verdict)) == (Outcome.PASS, [])
    assert verdict.score > 0.5


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        pytest.param(Sentence(text=WHOLE), "check.no_citation", id="no citation"),
        pytest.param(cited(WHOLE, passage_id="p9"), "check.unknown_passage", id="unknown passage"),
        pytest.param(cited(WHOLE, quote="Tents are always welcome back."), "check.quote", id="invented quote"),
        pytest.param(
            cited("Tents can be returned within 60 days, unless they are on Final Sale."),
            "check.number",
            id="number",
        ),
        pytest.param(
            cited("Tents can be returned within 30 business days, unless they are on Final Sale."),
            "check.number",
            id="unit",
        ),
        pytest.param(
            cited("Tents cannot be returned within 30 days, unless they are on Final Sale."),
            "check.negation",
            id="negation",
        ),
        pytest.param(cited("A late parcel will be refunded by Bend."), "check.modality", id="promise"),
        pytest.param(cited("A late parcel may be refunded by Duluth."), "check.name", id="name"),
        pytest.param(cited("Please bring coffee for the whole team."), "check.unsupported", id="nothing shared"),
    ],
)
async def test_what_the_source_does_not_say_is_refused(sentence: Sentence, code: str) -> None:
    verdict = await checked(sentence)
    assert verdict.outcome is Outcome.REVISE
    assert code in codes(verdict)
    assert verdict.score < 0.99


async def test_a_quote_cut_before_its_condition_is_refused() -> None:
    fragment = "Tents can be returned within 30 days"
    verdict = await checked(cited(fragment, quote=fragment))
    assert (verdict.outcome, codes(verdict)) == (Outcome.REVISE, ["check.cut"])


async def test_an_answer_that_answers_passes() -> None:
    request = AnswerRequest(
        question="how many days until tents can be returned", sentences=(cited(WHOLE),), passages=(PASSAGE,)
    )
    verdict = await LocalChecker(NoEncoder()).answer(request)
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASS, ())
    assert 0.5 < verdict.score < 1


async def test_no_answer_is_escalated() -> None:
    request = AnswerRequest(question="how?", sentences=(), passages=(PASSAGE,))
    verdict = await LocalChecker(NoEncoder()).answer(request)
    assert (verdict.outcome, codes(verdict)) == (Outcome.ESCALATE, ["check.empty"])


async def test_an_answer_to_something_else_is_escalated() -> None:
    far = replace(PASSAGE, similarity=0.1)
    request = AnswerRequest(question="who won the game", sentences=(cited(WHOLE),), passages=(far,))
    verdict = await LocalChecker(NoEncoder()).answer(request)
    assert (verdict.outcome, codes(verdict)) == (Outcome.ESCALATE, ["check.not_answered"])


@pytest.mark.parametrize(
    "other",
    [
        "Tents can be returned within 60 days, unless they are on Final Sale.",
        "Tents cannot be returned within 30 days, unless they are on Final Sale.",
    ],
)
async def test_an_answer_that_contradicts_itself_goes_to_review(other: str) -> None:
    request = AnswerRequest(
        question="can tents be returned", sentences=(cited(WHOLE), cited(other)), passages=(PASSAGE,)
    )
    verdict = await LocalChecker(NoEncoder()).answer(request)
    assert (verdict.outcome, codes(verdict)) == (Outcome.REVIEW, ["check.contradiction"])


async def test_a_reply_is_as_well_supported_as_its_weakest_sentence() -> None:
    checker = LocalChecker(HashingEncoder())
    good = await checker.supported([TEXT], WHOLE)
    assert good > 0.9
    assert await checker.supported([TEXT], f"{WHOLE} It costs $99 in Norway.") < 0.2
    assert await checker.supported([], WHOLE) == 0.0
