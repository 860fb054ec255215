"""What every retriever must do, the shipped fake included."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tools.encoder.fake import HashingEncoder
from tools.knowledge.base import open_knowledge
from tools.knowledge.fake import InMemoryRetriever
from tools.knowledge.index import Index
from tools.knowledge.ports import Retriever
from tools.storage.database import open_database

pytestmark = pytest.mark.anyio

Open = Callable[[Mapping[str, str]], AbstractAsyncContextManager[Retriever]]

FILES = {
    "returns.md": "# Returns\n\nBoots can be returned within 60 days.\n\n## Fees\n\nA return label costs $6.95.\n",
    "shipping.txt": "Standard shipping to Canada takes 7 to 10 business days.",
    "staff/limits.md": "# Goodwill limits\n\nAn agent may give $25 of goodwill credit.\n",
    "gifts.html": "<h1>Gift cards</h1><p>Gift cards never expire.</p>",
}


@pytest.fixture(params=["memory", "chroma"])
def open_retriever(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    @asynccontextmanager
    async def memory(files: Mapping[str, str]) -> AsyncIterator[Retriever]:
        yield InMemoryRetriever(files)

    @asynccontextmanager
    async def chroma(files: Mapping[str, str]) -> AsyncIterator[Retriever]:
        folder = tmp_path / "knowledge"
        folder.mkdir()
        for path, text in files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        async with (
            open_database(tmp_path / "handrail.db") as database,
            open_knowledge(database, HashingEncoder(), tmp_path / "chroma") as base,
        ):
            knowledge = base.of("acme", "support")
            if files:
                await knowledge.ingest(folder)
            yield knowledge

    return {"memory": memory, "chroma": chroma}[request.param]


async def test_the_passage_that_answers_comes_first_with_its_lineage(open_retriever: Open) -> None:
    async with open_retriever(FILES) as retriever:
        found = await retriever.search("what does a return label cost", audience="customer", limit=2)

    best, second = found.passages
    assert (best.document, best.title, best.heading, best.text, best.audience) == (
        "returns.md",
        "Returns",
        "Fees",
        "A return label costs $6.95.",
        "customer",
    )
    assert FILES["returns.md"][best.start : best.end] == best.text
    assert best.sentences == ((0, len(best.text)),)
    assert best.index_version == found.index_version != ""
    assert best.score > second.score
    assert 0 < best.similarity <= 1


async def test_customers_never_see_a_document_for_staff(open_retriever: Open) -> None:
    async with open_retriever(FILES) as retriever:
        asked = "how much goodwill credit may an agent give"
        customer = await retriever.search(asked, audience="customer", limit=50)
        staff = await retriever.search(asked, audience="staff", limit=50)

    assert {passage.document for passage in customer.passages} == {"returns.md", "shipping.txt", "gifts.html"}
    assert staff.passages[0].document == "staff/limits.md"
    assert {passage.document for passage in staff.passages} == set(FILES)


async def test_passages_that_are_named_follow_those_that_are_found(open_retriever: Open) -> None:
    def all_of_them(index: Index) -> range:
        return range(len(index.passages))

    asked = "what does a return label cost"
    async with open_retriever(FILES) as retriever:
        alone = await retriever.search(asked, audience="customer", limit=1)
        found = await retriever.search(asked, audience="customer", limit=1, also=all_of_them)
        every = await retriever.search(asked, audience="customer", limit=50)

    assert found.passages == every.passages
    assert found.passages[:1] == alone.passages
    assert "staff/limits.md" not in {passage.document for passage in found.passages}


async def test_the_same_question_finds_the_same_twice(open_retriever: Open) -> None:
    async with open_retriever(FILES) as retriever:
        first = await retriever.search("shipping", audience="staff")
        second = await retriever.search("shipping", audience="staff")

    assert first.passages == second.passages


async def test_a_long_question_finds_what_its_parts_ask(open_retriever: Open) -> None:
    question = "Yonder zebras quilt warmly beneath purple umbrellas. " * 12 + "What does a return label cost?"

    async with open_retriever(FILES) as retriever:
        found = await retriever.search(question, audience="customer", limit=1)

    assert found.passages[0].heading == "Fees"


@pytest.mark.parametrize("query", ["", "   ", "?!", "zeppelin"])
async def test_a_question_without_known_words_is_no_error(open_retriever: Open, query: str) -> None:
    async with open_retriever(FILES) as retriever:
        found = await retriever.search(query, audience="customer", limit=3)

    assert len(found.passages) <= 3


async def test_an_empty_knowledge_finds_nothing(open_retriever: Open) -> None:
    async with open_retriever({}) as retriever:
        found = await retriever.search("anything", audience="staff")

    assert found.passages == ()
