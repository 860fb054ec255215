"""The gate: the form of a sentence is looked at before anything else, and a draft has an end."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from agents.checker import AnswerRequest, SentenceRequest
from graphs.drafting import MOST_SENTENCES, _ahead, judged
from policies.types import Abstention, Citation, Outcome, Passage, Sentence, Verdict
from tests.agents.mandates import a_passage

pytestmark = pytest.mark.anyio
PASSAGE = a_passage("0", "Tents go back. See https://larkspur.shop/returns.")


class Willing:
    """Passes everything, and notes it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def sentence(self, request: SentenceRequest) -> Verdict:
        self.seen.append(request.sentence.text)
        return Verdict(outcome=Outcome.PASS)

    async def answer(self, request: AnswerRequest) -> Verdict:
        self.seen += [sentence.text for sentence in request.sentences]
        return Verdict(outcome=Outcome.PASS)


def request(text: str, *passages: Passage, own: bool = False) -> SentenceRequest:
    cited = tuple(
        Citation(
            passage_id=each.id,
            document=each.document,
            document_version=each.document_version,
            title=each.title,
            quote="Tents go back.",
            start=0,
            end=14,
        )
        for each in passages
    )
    return SentenceRequest(sentence=Sentence(text=text, citations=cited), passages=(PASSAGE,), own=own)


@pytest.mark.parametrize(
    "text",
    [
        "Tents go back.<img src=x>",
        "Tents \u202ego back.",
        "Tents go back \ud83d.",
        "[Tents](https://evil.example).",
    ],
)
async def test_what_is_no_plain_sentence_reaches_no_checker(text: str) -> None:
    checker = Willing()
    verdict = await judged(checker, request(text, PASSAGE))
    assert (verdict.outcome, [each.code for each in verdict.reasons]) == (Outcome.REVISE, ["gate.form"])
    assert checker.seen == []


async def test_an_address_passes_with_the_passage_that_has_it_and_only_with_it() -> None:
    text = "Tents go back at larkspur.shop/returns."
    assert not (await judged(Willing(), request(text))).passed
    assert (await judged(Willing(), request(text, PASSAGE))).passed
    assert (await judged(Willing(), request(text, own=True))).passed


async def _many() -> AsyncGenerator[Sentence | Abstention, None]:
    n = 0
    while True:
        n += 1
        yield Sentence(text=f"Tent {n}.")


async def test_an_endless_draft_ends_and_waits_for_no_check() -> None:
    async with _ahead(_many()) as items:
        found = [item async for item in items]
    assert found == [Sentence(text=f"Tent {n}.") for n in range(1, MOST_SENTENCES + 1)]
