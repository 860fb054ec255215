"""A Chroma server by URL finds what the embedded one finds, with the same scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chroma import chroma_server
from tools.encoder.fake import HashingEncoder
from tools.knowledge.base import open_knowledge
from tools.storage.database import open_database

pytestmark = pytest.mark.anyio
ARTICLES = {
    "delivery.md": "# Delivery\n\nDelivery takes three days. Delivery to islands takes five days.\n",
    "refunds.md": "# Refunds\n\nMoney goes back within five days.\n",
    "staff.md": "---\naudience: staff\n---\n# Credit\n\nAgents may give ten dollars of credit.\n",
}


@pytest.fixture(name="url", scope="module")
def url_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Chroma server on a free port of the loopback."""
    with chroma_server(tmp_path_factory.mktemp("chroma")) as server:
        yield server.url


async def found(folder: Path, chroma: str | Path) -> list[tuple[str, float]]:
    """Ingest the articles and search them as a customer and as staff."""
    for name, text in ARTICLES.items():
        (folder / "kb").mkdir(parents=True, exist_ok=True)
        (folder / "kb" / name).write_text(text)
    async with (
        open_database(folder / "rows.db") as database,
        open_knowledge(database, HashingEncoder(), chroma) as base,
    ):
        knowledge = base.of("acme", "shop")
        await knowledge.ingest(folder / "kb")
        customer = await knowledge.search("how many days does delivery take", audience="customer")
        staff = await knowledge.search("how many dollars of credit", audience="staff")
    return [(each.document, round(each.score, 5)) for each in (*customer.passages, *staff.passages)]


async def test_a_server_and_an_embedded_store_rank_alike(url: str, tmp_path: Path) -> None:
    embedded = await found(tmp_path / "embedded", tmp_path / "embedded" / "chroma")
    served = await found(tmp_path / "served", url)
    assert served == embedded
    assert embedded[0][0] == "delivery.md"
    assert "staff.md" in [document for document, _ in embedded]
