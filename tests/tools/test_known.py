"""Known questions lead from customers' words to sentences that share none of them."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import numpy as np
import pytest

from policies.glossary import Glossary
from policies.types import KnownQuestion
from tests.two_kinds import TwoKindsEncoder
from tools import known as module
from tools.encoder.fake import HashingEncoder
from tools.knowledge.fake import InMemoryRetriever
from tools.known import NONE_KNOWN, KnownQuestions, said_in, unsaid

pytestmark = pytest.mark.anyio

ENCODER = HashingEncoder()
FEE = "A cleaning charge of $25 applies to muddy tents."
REST = "Rented tents are collected at the counter."
QUESTIONS = (
    KnownQuestion(
        document="rental.md",
        answer=(FEE,),
        asked=("do i pay extra if it comes back filthy", "what if the kids leave it covered in dirt"),
        intent="rental",
    ),
    KnownQuestion(document="rental.md", answer=(REST,), asked=("where do i fetch what i hired",)),
)
FILES = {
    "rental.md": f"# Rental\n\n## Before\n\n{REST}\n\n## After\n\n{FEE}\n",
    "stores.md": "# Stores\n\nThe counter opens at nine.\n",
}


async def learn(
    *questions: KnownQuestion, cache: Path | None = None, glossary: Glossary | None = None
) -> KnownQuestions:
    return await KnownQuestions.learn(questions or QUESTIONS, ENCODER, glossary or Glossary(), cache)


async def support(known: KnownQuestions, asked: str, *places: tuple[str, str]) -> list[float]:
    vector = (await ENCODER.encode([asked]))[0]
    return [round(float(each), 2) for each in known.support(known.near(asked, vector), places)[0]]


async def test_what_answered_a_question_like_it_is_supported_most() -> None:
    places = (("rental.md", FEE), ("rental.md", REST), ("stores.md", "The counter opens at nine."))
    fee, rest, elsewhere = await support(await learn(), "do i pay extra if it comes back filthy", *places)
    assert fee > rest > elsewhere == 0.0
    # The same words, the same meaning, and a document of which this is the nearest question.
    assert fee - rest == pytest.approx(module.MEANING * (1 - module.FAR) + module.WORDING, abs=0.02)


async def test_a_question_like_none_is_supported_by_nothing() -> None:
    assert await support(await learn(), "zebra", ("rental.md", FEE), ("rental.md", REST)) == [0.0, 0.0]


async def test_questions_are_read_with_the_documents_words() -> None:
    glossary = Glossary.of({"cleaning charge": ["filthy"]})
    known = await learn(glossary=glossary)
    assert [(each.asked, each.read) for each in known.examples()] == [
        ("do i pay extra if it comes back filthy", "do i pay extra if it comes back filthy cleaning charge"),
        ("what if the kids leave it covered in dirt", "what if the kids leave it covered in dirt"),
    ]


async def test_only_questions_that_name_an_intent_are_its_examples() -> None:
    found = [(each.intent, each.asked) for each in (await learn()).examples()]
    assert found == [("rental", text) for text in QUESTIONS[0].asked]


async def test_search_also_finds_where_the_answer_stands() -> None:
    retriever = InMemoryRetriever(FILES)
    asked = "do i pay extra if it comes back filthy"
    alone = await retriever.search(asked, audience="customer", limit=1)
    assert FEE not in alone.passages[0].text
    found = await (await learn(QUESTIONS[0])).over(retriever, ENCODER).search(asked, audience="customer", limit=1)
    assert [FEE in each.text for each in found.passages] == [False, True]


async def test_search_gives_customers_nothing_of_the_staff_whatever_is_known() -> None:
    secret = "Staff may waive the charge."
    files = FILES | {"staff.md": f"---\naudience: staff\n---\n\n# Staff\n\n{secret}\n"}
    known = await learn(KnownQuestion(document="staff.md", answer=(secret,), asked=("can you waive the charge",)))
    retriever = known.over(InMemoryRetriever(files), ENCODER)
    shown = await retriever.search("can you waive the charge", audience="customer")
    assert [each.document for each in shown.passages if each.document == "staff.md"] == []
    assert secret in {each.text for each in (await retriever.search("waive", audience="staff")).passages}


async def test_nothing_known_changes_nothing() -> None:
    retriever = InMemoryRetriever(FILES)
    found = await NONE_KNOWN.over(retriever, ENCODER).search("a filthy tent", audience="customer")
    assert found.passages == (await retriever.search("a filthy tent", audience="customer")).passages
    assert not NONE_KNOWN
    assert not await KnownQuestions.learn((), HashingEncoder(), Glossary())


async def test_the_same_questions_are_encoded_once(tmp_path: Path) -> None:
    class Counting(HashingEncoder):
        asked = 0

        async def encode(self, texts):  # type: ignore[no-untyped-def]
            type(self).asked += 1
            return await super().encode(texts)

    encoder = Counting()
    first = await KnownQuestions.learn(QUESTIONS, encoder, Glossary(), tmp_path)
    again = await KnownQuestions.learn(QUESTIONS, encoder, Glossary(), tmp_path)
    other = await KnownQuestions.learn(QUESTIONS[:1], encoder, Glossary(), tmp_path)
    vectors = [np.stack([example.vector for example in each.examples()]) for each in (first, again, other)]
    assert Counting.asked == 2
    assert (vectors[0] == vectors[1]).all()
    assert (vectors[0] == vectors[2]).all()


async def test_the_router_gets_one_kind_of_vectors_and_questions_are_compared_by_the_other(tmp_path: Path) -> None:
    encoder, asked = TwoKindsEncoder(), QUESTIONS[0].asked[0]
    made = await encoder.encoded([asked])
    for _ in range(2):
        known = await KnownQuestions.learn(QUESTIONS, encoder, Glossary(), tmp_path)
        assert next(known.examples()).vector == pytest.approx(made.vectors[0], abs=1e-6)
        assert known.near(asked, made.matching[0]).meaning[0] == pytest.approx(1.0, abs=1e-5)
        retriever = known.over(InMemoryRetriever(FILES, encoder=encoder), encoder)
        found = await retriever.search(asked, audience="customer", limit=1)
        assert FEE in [each.text for each in found.passages]


async def test_a_damaged_file_of_vectors_is_written_anew(tmp_path: Path) -> None:
    first = await learn(cache=tmp_path)
    file = await anyio.to_thread.run_sync(lambda: next(tmp_path.iterdir()))
    whole = file.read_bytes()
    for damaged in (b"", whole[:100], b"not an array"):
        file.write_bytes(damaged)
        again = await learn(cache=tmp_path)
        assert [each.vector.tolist() for each in again.examples()] == [
            each.vector.tolist() for each in first.examples()
        ]
        assert file.read_bytes() == whole


async def test_questions_that_are_unlike_or_out_of_date_bring_no_passage_along() -> None:
    stale = KnownQuestion(document="rental.md", answer=("It is free.",), asked=("is a tent free",))
    known = (await learn(QUESTIONS[0], stale)).over(InMemoryRetriever(FILES), ENCODER)
    for asked in ("zebra", "is a tent free"):
        found = await known.search(asked, audience="customer", limit=1)
        assert len(found.passages) == 1


async def test_each_index_has_its_own_places() -> None:
    known, asked = await learn(QUESTIONS[0]), "do i pay extra if it comes back filthy"
    before = await known.over(InMemoryRetriever(FILES), ENCODER).search(asked, audience="customer", limit=1)
    moved = {"a.md": "# A\n\nNothing here.\n", **FILES}
    after = await known.over(InMemoryRetriever(moved), ENCODER).search(asked, audience="customer", limit=1)
    assert [FEE in found.passages[-1].text for found in (before, after)] == [True, True]


def test_a_sentence_that_no_document_says_is_told(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "broken.pdf").write_bytes(b"no PDF")
    (tmp_path / "staff.md").write_text("---\naudience: staff\n---\n\n# Staff\n\nIt is $30.\n")
    said = said_in(tmp_path)
    assert {document for document, _ in said} == set(FILES)
    assert {("rental.md", FEE), ("rental.md", REST)} <= said
    changed = KnownQuestion(document="rental.md", answer=(FEE, "It is $30."), asked=("how much",))
    elsewhere = KnownQuestion(document="stores.md", answer=(FEE,), asked=("how much",))
    assert unsaid([*QUESTIONS, changed, elsewhere], said) == [("rental.md", "It is $30."), ("stores.md", FEE)]
