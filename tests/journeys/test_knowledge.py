"""Knowledge over HTTP: what there is, bringing it up to date, searching it."""

from __future__ import annotations

from pathlib import Path

import pytest
from httpx_sse import aconnect_sse

from server.schemas import IngestOutcome, KnowledgeView, SearchAnswer
from tests.journeys.shop import OpenShop, Shop

pytestmark = pytest.mark.anyio


async def test_the_documents_of_the_index_are_listed(shop: Shop) -> None:
    found = KnowledgeView.model_validate(await shop.get("/v1/knowledge"))
    assert [each["path"] for each in found.documents] == ["brewing.md", "delivery.md", "refunds.md"]
    assert "text" not in found.documents[0]
    assert found.index_version.startswith("idx_")


async def test_staff_search_all_articles(shop: Shop) -> None:
    found = SearchAnswer.model_validate(await shop.get("/v1/search?q=delivery+costs&limit=1"))
    assert [each["document"] for each in found.passages] == ["delivery.md"]
    assert found.index_version == (await shop.get("/v1/knowledge"))["index_version"]


async def test_an_ingest_shows_in_the_next_question(open_shop: OpenShop, tmp_path: Path) -> None:
    (tmp_path / "hours.md").write_text("# Hours\n\nThe shop is open from nine to five.\n")
    async with open_shop() as shop:
        response = await shop.http.post("/v1/knowledge/ingest", json={"folder": str(tmp_path)})
        report = IngestOutcome.model_validate(response.json())
        assert (report.added, len(report.removed), report.failed) == (["hours.md"], 3, [])
        found = await shop.get("/v1/search?q=when+is+the+shop+open")
        assert [each["document"] for each in found["passages"]] == ["hours.md"]
        again = IngestOutcome.model_validate((await shop.http.post("/v1/knowledge/ingest")).json())
        assert (len(again.added), again.removed) == (3, ["hours.md"])


async def test_an_ingest_tells_how_far_it_is(open_shop: OpenShop) -> None:
    async with open_shop() as shop:
        folder = str(shop.product.assistant.knowledge)
        (await shop.http.post("/v1/knowledge/ingest", json={"folder": folder})).raise_for_status()
        body = {"folder": folder}
        async with aconnect_sse(shop.http, "POST", "/v1/knowledge/ingest", json=body) as source:
            events = [event async for event in source.aiter_sse() if event.data]
    assert [each.event for each in events] == ["report"]
    assert IngestOutcome.model_validate(events[-1].json()).unchanged == 3


async def test_progress_comes_before_the_report(open_shop: OpenShop, tmp_path: Path) -> None:
    (tmp_path / "hours.md").write_text("# Hours\n\nThe shop is open from nine to five.\n")
    async with open_shop() as shop:
        body = {"folder": str(tmp_path)}
        async with aconnect_sse(shop.http, "POST", "/v1/knowledge/ingest", json=body) as source:
            events = [event async for event in source.aiter_sse() if event.data]
    assert [(each.event, each.json().get("done"), each.json().get("total")) for each in events] == [
        ("progress", 1, 1),
        ("report", None, None),
    ]
