"""The list that a person works from, and the client that does what a person does."""

from __future__ import annotations

import pytest

from handrail.client import Client, RequestFailed
from server import schemas
from tests.journeys.shop import OpenShop, Shop

pytestmark = pytest.mark.anyio

COMPLAINT = "I want to complain."


async def test_the_inbox_is_paged_with_the_latest_first(open_shop: OpenShop) -> None:
    async with open_shop() as shop, Client.open(str(shop.http.base_url)) as client:
        bots = [await shop.conversation() for _ in range(3)]
        complaints = [await shop.conversation() for _ in range(3)]
        for conversation in complaints:
            await shop.ask(conversation, COMPLAINT)
        await client.take(complaints[0])
        queued = schemas.Inbox.model_validate(await client.conversations(owner="queue", queue="care"))
        assert [each.id for each in queued.conversations] == [complaints[2], complaints[1]]
        first = queued.conversations[0]
        assert (first.queue, first.priority, first.owner_id) == ("care", "high", None)
        assert (first.due_at or "") > (first.waiting_since or "") > ""
        assert first.last_message_at == first.active_at
        assert (await client.conversations(queue="shipping"))["conversations"] == []
        mine = (await client.conversations(owner="human"))["conversations"]
        assert [(each["id"], each["owner_id"]) for each in mine] == [(complaints[0], "local-admin")]
        seen: list[str] = []
        before = None
        for _ in range(3):
            page = await client.conversations(limit=2, before=before)
            seen += [each["id"] for each in page["conversations"]]
            before = page["next"]
        assert (seen, before) == ([*reversed(complaints), *reversed(bots)], None)
        silent = (await client.conversations(owner="bot"))["conversations"]
        assert [each["last_message_at"] for each in silent] == [None] * 3
        with pytest.raises(RequestFailed) as refused:
            await client.conversations(before="nonsense")
        assert (refused.value.status, refused.value.code) == (400, "cursor.malformed")


async def test_the_client_does_all_of_it(shop: Shop) -> None:
    async with Client.open(str(shop.http.base_url)) as client:
        conversation = await client.create_conversation()
        assert (await client.take(conversation))["owner_id"] == "local-admin"
        said = await client.reply(conversation, "Hello!", key=f"client-{conversation}")
        assert await client.reply(conversation, "Hello!", key=f"client-{conversation}") == said
        assert (await client.hand_back(conversation, note="Done."))["owner"] == "bot"
        assert (await client.take(conversation, from_id="nobody"))["owner"] == "human"
