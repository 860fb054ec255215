"""A Chroma server by URL finds what the embedded one finds, with the same scores."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    chroma = Path(sys.executable).parent / "chroma"
    folder = tmp_path_factory.mktemp("chroma")
    command = [str(chroma), "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the Chroma server did not start")


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
