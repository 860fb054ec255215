from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from agents.drafter import DraftRequest, LocalDrafter
from policies.glossary import Glossary
from policies.types import Abstention, Autonomy, Citation, KnownQuestion, Passage, Route, Sentence, Turn
from tools.encoder.fake import HashingEncoder
from tools.encoder.ports import Vectors
from tools.knowledge import sentences
from tools.known import KnownQuestions
from tools.results import passage_of

pytestmark = pytest.mark.anyio

ROUTE = Route(
    intent="shipping", queue="general", priority="normal", confidence=0.9, in_scope=0.9, autonomy=Autonomy.AUTO
)
CANADA = "Standard shipping to Canada costs **CA$14.95**. Fuel is never sent there."
HAWAII = "Standard shipping to Hawaii costs $19.50 and more. Bear spray stays on the mainland."


def passage(text: str, title: str, *, start: int = 100, similarity: float = 0.7) -> Passage:
    return Passage(
        id=f"{title}:0",
        document=f"{title.lower()}.md",
        document_version="dv_1" + title,
        title=title,
        heading="Prices",
        text=text,
        start=start,
        end=start + len(text),
        index_version="idx_1",
        audience="customer",
        similarity=similarity,
        sentences=sentences.spans(text),
    )


PASSAGES = (passage(HAWAII, "Hawaii"), passage(CANADA, "Canada"))


def request(question: str, passages: Sequence[Passage] = PASSAGES, **more: object) -> DraftRequest:
    given: dict[str, object] = {"history": (), "route": ROUTE, **more}
    return DraftRequest(question=question, passages=tuple(passages), **given)  # type: ignore[arg-type]


async def drafted(wanted: DraftRequest, drafter: LocalDrafter | None = None) -> list[Sentence | Abstention]:
    return [item async for item in (drafter or LocalDrafter(HashingEncoder()))(wanted)]


async def test_the_sentence_that_answers_is_quoted_with_its_place_in_the_source() -> None:
    quote = "Standard shipping to Canada costs CA$14.95."
    citation = Citation(
        passage_id="Canada:0",
        document="canada.md",
        document_version="dv_1Canada",
        title="Canada",
        quote=quote,
        start=100,
        end=100 + len("Standard shipping to Canada costs **CA$14.95**."),
    )
    found = await drafted(request("how much is standard shipping to Canada?"))
    assert found == [Sentence(text=quote, citations=(citation,))]


async def test_the_sentence_whose_own_terms_match_wins_over_its_twin() -> None:
    found = await drafted(request("how much is standard shipping to Hawaii?"))
    assert [item.text for item in found] == ["Standard shipping to Hawaii costs $19.50 and more."]


async def test_a_follow_up_is_answered_for_what_is_new_in_it() -> None:
    earlier = (Turn(author="customer", text="how much is standard shipping to Hawaii?"),)
    found = await drafted(request("and to Canada?", history=earlier))
    assert found[0].text == "Standard shipping to Canada costs CA$14.95."


async def test_passages_about_something_else_make_it_abstain_once() -> None:
    far = tuple(passage(each.text, each.title, similarity=0.1) for each in PASSAGES)
    [found] = await drafted(request("who won the football game last night", far))
    assert isinstance(found, Abstention)
    assert found.code == "draft.no_answer"
    assert 0 <= found.confidence < 0.2


async def test_no_passages_make_it_abstain() -> None:
    assert await drafted(request("how much is shipping?", ())) == [
        Abstention(
            code="draft.no_answer", text="Nothing found answers the question well enough (0%).", confidence=0.0
        )
    ]


async def test_a_rejected_sentence_is_not_used_again() -> None:
    wanted = request(
        "how much is standard shipping to Canada?", rejected=("Standard shipping to Canada costs CA$14.95.",)
    )
    assert all("CA$14.95" not in item.text for item in await drafted(wanted))


async def test_nothing_is_left_when_every_sentence_was_rejected() -> None:
    text = "Standard shipping to Canada costs $5."
    wanted = request("standard shipping to Canada", (passage(text, "Canada"),), rejected=(text,))
    [found] = await drafted(wanted)
    assert isinstance(found, Abstention)


async def test_known_vectors_are_not_made_again() -> None:
    encoder = HashingEncoder()
    seen: list[str] = []

    class Counting(HashingEncoder):
        async def encode(self, texts: Sequence[str]) -> Vectors:
            seen.extend(texts)
            return await super().encode(texts)

    async def vectors_of(passages: Sequence[Passage]) -> Mapping[str, Vectors]:
        return {each.id: await encoder.encode([each.text[a:b] for a, b in each.sentences]) for each in passages}

    question = "how much is standard shipping to Canada?"
    await drafted(request(question), LocalDrafter(Counting(), vectors_of))
    assert set(seen) == {question}


async def test_sentences_of_one_document_that_are_as_good_keep_the_order_of_the_source() -> None:
    text = "Tents cost $10 to mend. Please wash it first. Packs cost $10 to mend."
    found = await drafted(request("what does it cost to mend packs or tents?", (passage(text, "Repairs"),)))
    assert [item.text for item in found] == ["Tents cost $10 to mend.", "Packs cost $10 to mend."]


async def test_each_question_of_a_message_is_answered() -> None:
    text = "A fee of $12 applies to shipped fuel. You may order up to 8 cans of fuel. Fuel smells."
    asked = "what fee applies to shipped fuel and how many cans may I order?"
    found = await drafted(request(asked, (passage(text, "Fuel"),)))
    assert [item.text for item in found] == [
        "A fee of $12 applies to shipped fuel.",
        "You may order up to 8 cans of fuel.",
    ]


async def test_a_best_sentence_that_says_little_is_not_quoted() -> None:
    near = passage("The Duluth store has a telephone.", "Stores", similarity=0.9)
    [found] = await drafted(
        request("any ammo in stock at duluth for the deer season, say a box of twenty?", (near,))
    )
    assert isinstance(found, Abstention)
    assert found.confidence > 0.2


async def test_a_sentence_that_stands_out_is_quoted_though_its_passage_is_unlike_the_question() -> None:
    text = "Tents go back within 30 days. Every store has a telephone. Boots are mended in June."
    far = passage(text, "Returns", similarity=0.0)
    asked = "do tents go back within 30 days"
    [found] = await drafted(request(asked, (far,)))
    assert isinstance(found, Sentence)
    assert found.text == "Tents go back within 30 days."
    strict = LocalDrafter(HashingEncoder(), enough=0.9999)
    assert [type(each) for each in await drafted(request(asked, (far,)), strict)] == [Abstention]


async def test_a_sentence_that_is_alone_but_far_from_the_question_does_not_stand_out() -> None:
    far = passage("Tents go back within 30 days.", "Returns", similarity=0.0)
    asked = "tents, boots, socks, gloves, scarves and hats: who mends any of them in a hurry"
    assert [type(each) for each in await drafted(request(asked, (far,)))] == [Abstention]


async def test_what_is_left_after_a_refusal_does_not_stand_out_the_more_for_it() -> None:
    text = "Tents go back within 30 days. Tents go back to Bend. Every store has a telephone."
    far = passage(text, "Returns", similarity=0.0)
    asked = "do tents go back within 30 days"
    assert [type(each) for each in await drafted(request(asked, (far,)))] == [Sentence]
    refused = request(asked, (far,), rejected=("Tents go back within 30 days.",))
    assert [type(each) for each in await drafted(refused)] == [Abstention]


def result(said: object) -> Passage:
    found = passage_of("order_status", "run_1:act:order_status", "run_1", said)
    assert found is not None
    return found


async def test_what_a_tool_says_is_the_answer_and_is_cited_as_its_own() -> None:
    said = result({"say": ["Order LO-7 was sent.", "It comes with UPS."]})
    found = await drafted(request("Where is LO-7, and what costs shipping to Canada?", (*PASSAGES, said)))
    assert [each.text for each in found if isinstance(each, Sentence)] == [
        "Order LO-7 was sent.",
        "It comes with UPS.",
    ]
    assert isinstance(found[1], Sentence)
    assert found[1].citations == (
        Citation(
            passage_id="run_1:act:order_status",
            document="tool:order_status",
            document_version="run_1",
            title="Order status",
            quote="It comes with UPS.",
            start=21,
            end=39,
        ),
    )


async def test_where_a_check_refuses_what_a_tool_says_nothing_else_is_drafted() -> None:
    said = result("Order LO-7 was sent.")
    wanted = request("What costs shipping to Canada?", (*PASSAGES, said), rejected=("Order LO-7 was sent.",))
    assert [type(each) for each in await drafted(wanted)] == [Abstention]


async def test_mere_facts_of_a_tool_are_not_quoted() -> None:
    question = "What costs standard shipping to Canada?"
    facts = result({"costs": "standard shipping to Canada costs nothing"})
    assert await drafted(request(question, (*PASSAGES, facts))) == await drafted(request(question))
    assert [type(each) for each in await drafted(request(question, (facts,)))] == [Abstention]


KNOWN = KnownQuestion(
    document="canada.md",
    answer=("Fuel is never sent there.",),
    asked=("can my mate in toronto get a gas bottle from you",),
)
TORONTO = "can my pal in toronto get a gas bottle off you"


async def knowing(question: KnownQuestion) -> LocalDrafter:
    encoder = HashingEncoder()
    return LocalDrafter(encoder, known=await KnownQuestions.learn([question], encoder, Glossary()))


async def test_what_answered_a_question_like_it_is_quoted_though_it_shares_no_word_with_the_question() -> None:
    assert [type(item) for item in await drafted(request(TORONTO))] == [Abstention]
    found = await drafted(request(TORONTO), await knowing(KNOWN))
    assert [item.text for item in found] == ["Fuel is never sent there."]


async def test_a_known_answer_that_the_document_no_longer_gives_is_not_quoted() -> None:
    stale = replace(KNOWN, answer=("Fuel is sent there in summer.",))
    found = await drafted(request(TORONTO), await knowing(stale))
    assert [type(item) for item in found] == [Abstention]


async def test_a_document_is_not_quoted_for_a_known_answer_that_it_no_longer_gives() -> None:
    text = "Standard parcels to Canada take nine days. Orders over fifty dollars ship free."
    stale = replace(KNOWN, answer=("Fuel is sent there in summer.",))
    asked = request(KNOWN.asked[0], [passage(text, "Canada")])
    assert [type(item) for item in await drafted(asked, await knowing(stale))] == [Abstention]


async def test_a_known_question_takes_nothing_away() -> None:
    asked = request("how much is standard shipping to Canada?")
    unlike = replace(KNOWN, asked=("how much fuel to canada",))
    assert await drafted(asked, await knowing(unlike)) == await drafted(asked)


async def test_a_known_answer_that_a_check_refused_is_not_quoted_again() -> None:
    found = await drafted(request(TORONTO, rejected=KNOWN.answer), await knowing(KNOWN))
    assert [type(item) for item in found] == [Abstention]


async def test_a_question_unlike_those_known_to_a_document_is_left_open() -> None:
    found = await drafted(request("who painted the mona lisa"), await knowing(KNOWN))
    assert [type(item) for item in found] == [Abstention]
