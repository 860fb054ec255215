"""Without its vector store an assistant searches what it has in memory, and asks the store again after a while."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import numpy as np
import pytest

from policies.types import Audience
from tests.chroma import ChromaServer, chroma_server
from tools.encoder.fake import HashingEncoder
from tools.knowledge import vectors
from tools.knowledge.base import Knowledge, open_knowledge
from tools.knowledge.exact import ExactSearch
from tools.knowledge.ports import SearchResult
from tools.storage.database import open_database

pytestmark = pytest.mark.anyio
FILES = {
    **{f"{number}.md": f"# Tea {number}\n\nTea {number} costs {number} euros.\n" for number in range(40)},
    "staff.md": "---\naudience: staff\n---\n# Credit\n\nAgents may give ten dollars of credit.\n",
}
QUERY = "what does tea 7 cost"


@pytest.fixture(name="server", scope="module")
def server_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    """Run a Chroma server."""
    with chroma_server(tmp_path_factory.mktemp("chroma")) as server:
        yield server


@pytest.fixture(name="knowledge")
async def knowledge_fixture(
    server: ChromaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Knowledge]:
    """Open what a shop knows, over the server and with little patience."""
    monkeypatch.setattr(vectors, "QUERY_SECONDS", 0.3)
    monkeypatch.setattr(vectors, "REST_SECONDS", 0.5)
    folder = tmp_path / "kb"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    async with (
        open_database(tmp_path / "rows.db") as database,
        open_knowledge(database, HashingEncoder(), server.url) as base,
    ):
        knowledge = base.of("acme", tmp_path.name)
        await knowledge.ingest(folder)
        yield knowledge


async def search(knowledge: Knowledge, audience: Audience = "customer") -> SearchResult:
    return await knowledge.search(QUERY, audience=audience, limit=5)


async def test_a_server_that_is_killed_is_done_without_until_it_is_back(
    knowledge: Knowledge, server: ChromaServer, caplog: pytest.LogCaptureFixture
) -> None:
    asked = {audience: await search(knowledge, audience) for audience in ("customer", "staff")}
    server.kill()
    with caplog.at_level(logging.WARNING, "handrail.knowledge"):
        without = {audience: await search(knowledge, audience) for audience in ("customer", "staff")}
        server.start()
        with anyio.fail_after(10):
            again = await search(knowledge)
            while again.fallback:
                again = await search(knowledge)
    for audience in ("customer", "staff"):
        assert (asked[audience].fallback, without[audience].fallback) == (None, "exact search in memory")
        assert without[audience].passages == asked[audience].passages
    assert again.passages == asked["customer"].passages
    lost, found = (record.getMessage() for record in caplog.records)
    assert lost.startswith(f"The vector store at {server.url} does not answer")
    assert found == f"the vector store at {server.url} answers again"


async def test_a_server_that_hangs_costs_one_question_in_a_while_its_patience(
    knowledge: Knowledge, server: ChromaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "REST_SECONDS", 60)
    asked = await search(knowledge)
    server.freeze()
    try:
        without, seconds = [], []
        for _ in range(3):
            began = time.perf_counter()
            without.append(await search(knowledge))
            seconds.append(time.perf_counter() - began)
    finally:
        server.thaw()
    assert [each.passages for each in without] == [asked.passages] * 3
    assert seconds[0] >= 0.3 > min(seconds[1:])


async def test_exact_search_finds_the_nearest_of_each_part(knowledge: Knowledge) -> None:
    index = await knowledge.index()
    questions = await HashingEncoder().encode([QUERY, "tea 11"])
    similarity = questions @ index.vectors[index.rows_for("customer")].astype(np.float32).T
    found = [index.positions[key] for key in ExactSearch(index).nearest(questions, "customer", 3)]
    for question, best in zip(questions, -np.sort(-similarity)[:, :3], strict=True):
        of_found = sorted(index.vectors[found].astype(np.float32) @ question, reverse=True)
        assert of_found[:3] == pytest.approx(best.tolist())


async def test_exact_search_takes_all_when_there_are_few_and_none_when_there_are_none(
    knowledge: Knowledge,
) -> None:
    index = await knowledge.index()
    question = await HashingEncoder().encode([QUERY])
    exact = ExactSearch(index)
    assert len(exact.nearest(question, "staff", 100)) == 1
    assert len(exact.nearest(question, "customer", 1000)) == 40
