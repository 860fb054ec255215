from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from policies.types import Intent
from tools.encoder.fake import HashingEncoder
from tools.knowledge.base import Knowledge, open_knowledge
from tools.knowledge.topics import TopicSearcher
from tools.storage.database import open_database

pytestmark = pytest.mark.anyio

FILES = {
    "boots.md": "# Boots\n\nLeather boots stretch in the first week.\n",
    "tents.md": "# Tents\n\nA tent dries within one day.\n",
    "limits.md": "---\naudience: staff\n---\n\n# Limits\n\nA tent may be replaced twice.\n",
}
INTENTS = (
    Intent(name="footwear", description="", examples=("my leather boots stretch",), queue="general"),
    Intent(name="camping", description="", examples=("when does a tent dry",), queue="general"),
)


@pytest.fixture
async def knowledge(tmp_path: Path) -> AsyncIterator[Knowledge]:
    folder = tmp_path / "knowledge"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    async with (
        open_database(tmp_path / "h.db") as database,
        open_knowledge(database, HashingEncoder(), tmp_path / "chroma") as base,
    ):
        found = base.of("w", "a")
        await found.ingest(folder)
        yield found


async def found(searcher: TopicSearcher, **more: object) -> list[str]:
    result = await searcher.search("does it take a week or a day?", audience="customer", **more)  # type: ignore[arg-type]
    return [passage.document for passage in result.passages]


async def test_the_likely_intent_decides_between_documents(knowledge: Knowledge) -> None:
    searcher = await TopicSearcher.learn(knowledge, INTENTS, HashingEncoder())
    assert await found(searcher, likely=[("footwear", 1.0)]) == ["boots.md", "tents.md"]
    assert await found(searcher, likely=[("camping", 1.0)]) == ["tents.md", "boots.md"]


async def test_without_intents_the_ranking_stays_as_it_is(knowledge: Knowledge) -> None:
    searcher = await TopicSearcher.learn(knowledge, INTENTS, HashingEncoder())
    plain = await knowledge.search("does it take a week or a day?", audience="customer")
    assert await found(searcher) == [passage.document for passage in plain.passages]


async def test_no_more_passages_come_than_were_asked_for(knowledge: Knowledge) -> None:
    searcher = await TopicSearcher.learn(knowledge, INTENTS, HashingEncoder())
    assert await found(searcher, likely=[("camping", 1.0)], limit=1) == ["tents.md"]


async def test_a_new_index_is_compared_anew(knowledge: Knowledge, tmp_path: Path) -> None:
    searcher = await TopicSearcher.learn(knowledge, INTENTS, HashingEncoder())
    await found(searcher, likely=[("camping", 1.0)])
    (tmp_path / "knowledge" / "tents.md").rename(tmp_path / "knowledge" / "camping.md")
    await knowledge.ingest(tmp_path / "knowledge")
    assert await found(searcher, likely=[("camping", 1.0)]) == ["camping.md", "boots.md"]
